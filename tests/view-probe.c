/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the view do that a shell cannot: view-probe VERB ARGUMENTS.
 * Exits 0 if what was expected happened, else says what did not and exits 1.
 */
#include "config.h"

#include "tests/view-probe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

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
