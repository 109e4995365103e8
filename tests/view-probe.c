/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the view do that a shell cannot: view-probe VERB ARGUMENTS.
 * Exits 0 if what was expected happened, else says what did not and exits 1.
 */
#include "config.h"

#include "tests/view-probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

void die(const char *format, ...)
{
	va_list args;

	fputs("view-probe: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

int must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die("open %s: %s", path, strerror(errno));
	return fd;
}

uint64_t size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		die("fstat: %s", strerror(errno));
	return (uint64_t)st.st_size;
}

void *must_map(int fd, size_t len, int protection, int flags)
{
	void *map = mmap(NULL, len, protection, flags, fd, 0);

	if (map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return map;
}

void expect_errno(const char *what, long result, int want)
{
	if (result >= 0)
		die("%s succeeded, not %s", what, strerrorname_np(want));
	if (errno != want)
		die("%s gives %s, not %s", what, strerrorname_np(errno), strerrorname_np(want));
}

/* ---- pid DIR, wait PID, wait-view DIR ---- */

static int probe_pid(char **argv)
{
	char text[32] = "";

	if (getxattr(argv[0], "user.pagoda.pid", text, sizeof(text) - 1) < 0)
		die("%s is no view: %s", argv[0], strerror(errno));
	puts(text);
	return 0;
}

static int probe_wait(char **argv)
{
	int fd = (int)syscall(SYS_pidfd_open, atoi(argv[0]), 0);

	if (fd < 0 && errno == ESRCH)
		return 0;
	if (fd < 0 || poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PATIENCE_MS) != 1)
		die("process %s does not end", argv[0]);
	return 0;
}

static int probe_wait_view(char **argv)
{
	char text[32];

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (getxattr(argv[0], "user.pagoda.pid", text, sizeof(text)) > 0)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	die("no view appears on %s", argv[0]);
}

static const struct {
	const char *verb;
	int arguments;
	int (*run)(char **argv);
} verbs[] = {
	{"image", 3, probe_image},
	{"holes", 3, probe_holes},
	{"map", 2, probe_map},
	{"sealed", 1, probe_sealed},
	{"refuse", 2, probe_refuse},
	{"bad-page", 2, probe_bad_page},
	{"handles", 2, probe_handles},
	{"replace", 1, probe_replace},
	{"uniform", 1, probe_uniform},
	{"pid", 1, probe_pid},
	{"hold-writer", 1, probe_hold_writer},
	{"empty", 1, probe_empty},
	{"cached", 1, probe_cached},
	{"wait", 1, probe_wait},
	{"wait-view", 1, probe_wait_view},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].verb) == 0 && argc - 2 == verbs[i].arguments)
			return verbs[i].run(argv + 2);
	die("no such probe");
}
