/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits until something is true, at most so many seconds; says what there was
 * instead when they are over.
 *
 *   await SECONDS text FILE TEXT     FILE holds the text; it may not exist yet
 *   await SECONDS children PID N     the process has N children; N+: or more
 *   await SECONDS fds PID N          ... that many descriptors
 *   await SECONDS threads PID N      ... that many threads
 *   await SECONDS closed PID FD      ... that descriptor no more
 *   await SECONDS state PID LETTERS  ... one of these states (proc_pid_stat(5));
 *                                    X where there is no such process
 *   await SECONDS line               standard input has a line, which is printed
 *
 * Exit code 0, 1 where it did not come true, 2 for wrong usage. The kernel tells
 * when a file changes; of a process it does not, so that is looked up again and
 * again, here and in tests/hostile.c alone.
 */
#include "config.h"

#include <dirent.h>
#include <err.h>
#include <libgen.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define LOOK_AGAIN_MS 5

struct wish {
	const char *subject; /* a file or a pid */
	const char *want;
};

/* Each says whether the wish is true, and what is there in any case. */
typedef bool look_fn(const struct wish *wish, char **ret_found);

/* All there is to read, with a 0 behind it. */
static char *file_read(const char *path)
{
	FILE *in = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;

	if (!in)
		return NULL;
	if (getdelim(&text, &room, '\0', in) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(in);
	return text;
}

static bool text_look(const struct wish *wish, char **ret_found)
{
	*ret_found = file_read(wish->subject);
	return *ret_found && strstr(*ret_found, wish->want);
}

static bool count_is(unsigned long n, const char *want, char **ret_found)
{
	char *end;
	unsigned long wanted = strtoul(want, &end, 10);

	if (asprintf(ret_found, "%lu", n) < 0)
		err(2, "out of memory");
	return *end == '+' ? n >= wanted : n == wanted;
}

static bool children_look(const struct wish *wish, char **ret_found)
{
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *list = NULL;
	unsigned long n = 0;

	if (asprintf(&path, "/proc/%s/task/%s/children", wish->subject, wish->subject) < 0)
		err(2, "out of memory");
	list = file_read(path);
	if (!list)
		return false;
	for (const char *at = list; *at; at++)
		n += *at == ' '; /* one behind each */
	return count_is(n, wish->want, ret_found);
}

/* Of what one directory of the process has: entries_look(wish, "fd", &found) */
static bool entries_look(const struct wish *wish, const char *name, char **ret_found)
{
	AUTO_FREE char *path = NULL;
	unsigned long n = 0;
	DIR *dir;

	if (asprintf(&path, "/proc/%s/%s", wish->subject, name) < 0)
		err(2, "out of memory");
	dir = opendir(path);
	if (!dir)
		return false;
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return count_is(n, wish->want, ret_found);
}

static bool fds_look(const struct wish *wish, char **ret_found)
{
	return entries_look(wish, "fd", ret_found);
}

static bool threads_look(const struct wish *wish, char **ret_found)
{
	return entries_look(wish, "task", ret_found);
}

static bool closed_look(const struct wish *wish, char **ret_found)
{
	AUTO_FREE char *path = NULL;
	char target[256];
	ssize_t n;

	if (asprintf(&path, "/proc/%s/fd/%s", wish->subject, wish->want) < 0)
		err(2, "out of memory");
	n = readlink(path, target, sizeof(target) - 1);
	if (n >= 0)
		*ret_found = strndup(target, (size_t)n);
	return n < 0;
}

static bool state_look(const struct wish *wish, char **ret_found)
{
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *text = NULL;
	const char *at;

	if (asprintf(&path, "/proc/%s/stat", wish->subject) < 0)
		err(2, "out of memory");
	text = file_read(path);
	at = text ? strrchr(text, ')') : NULL;
	*ret_found = strndup(at && strlen(at) > 2 ? at + 2 : "X", 1);
	return *ret_found && strchr(wish->want, **ret_found);
}

/* Watches the directory: the file may be replaced, or come only later. */
static int changes_open(const char *path)
{
	AUTO_FREE char *copy = strdup(path);
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0 || !copy ||
	    inotify_add_watch(fd, dirname(copy), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		err(2, "watch of the directory of %s", path);
	return fd;
}

/* Returns when there may be something new. changes is -1 where nothing tells. */
static void pause_until(uint64_t deadline_ns, int changes)
{
	struct pollfd p = {.fd = changes, .events = POLLIN};
	uint64_t now = clock_monotonic_ns();
	uint64_t left_ms = deadline_ns > now ? (deadline_ns - now) / NS_PER_MS + 1 : 0;
	char events[4096];

	if (changes < 0)
		left_ms = MIN(left_ms, (uint64_t)LOOK_AGAIN_MS);
	(void)poll(&p, 1, (int)left_ms);
	while (changes >= 0 && read(changes, events, sizeof(events)) > 0)
		;
}

static int await(look_fn *look, const struct wish *wish, unsigned long seconds)
{
	uint64_t deadline_ns = clock_monotonic_ns() + seconds * NS_PER_SEC;
	int changes = look == text_look ? changes_open(wish->subject) : -1;

	for (;;) {
		/* before the look, which may take us past it */
		bool late = clock_monotonic_ns() >= deadline_ns;
		AUTO_FREE char *found = NULL;

		if (look(wish, &found))
			return 0;
		if (late) {
			fprintf(stderr, "await: after %lu s not '%s' but: %s\n", seconds,
				wish->want, found ? found : "nothing");
			return 1;
		}
		pause_until(deadline_ns, changes);
	}
}

/* Byte by byte: what comes behind the line is for the next. */
static int line_await(unsigned long seconds)
{
	uint64_t deadline_ns = clock_monotonic_ns() + seconds * NS_PER_SEC;
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	char c = 0;

	while (c != '\n') {
		uint64_t now = clock_monotonic_ns();

		if (now >= deadline_ns ||
		    poll(&p, 1, (int)((deadline_ns - now) / NS_PER_MS + 1)) == 0) {
			fprintf(stderr, "await: no line after %lu s\n", seconds);
			return 1;
		}
		if (read(STDIN_FILENO, &c, 1) != 1) {
			fprintf(stderr, "await: the end, and no line\n");
			return 1;
		}
		putchar(c);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		look_fn *look;
	} wishes[] = {
		{"text", text_look},	   {"children", children_look}, {"fds", fds_look},
		{"threads", threads_look}, {"closed", closed_look},	{"state", state_look},
	};

	if (argc == 3 && strcmp(argv[2], "line") == 0)
		return line_await(strtoul(argv[1], NULL, 10));
	for (size_t i = 0; argc == 5 && i < ARRAY_SIZE(wishes); i++)
		if (strcmp(argv[2], wishes[i].name) == 0)
			return await(wishes[i].look, &(struct wish){argv[3], argv[4]},
				     strtoul(argv[1], NULL, 10));
	errx(2,
	     "usage: await SECONDS text|children|fds|threads|closed|state SUBJECT WANT, or line");
}
