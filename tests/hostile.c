/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays hostile machines against a handler, one after the other.
 *
 *   hostile --socket PATH --image FILE --handler PID --log FILE [--only PLAY]
 *
 * While they play a machine of ours is stopped (as with SIGSTOP), longer than any
 * deadline of the handler, and goes on at the end. After each play the handler must
 * have as many descriptors as before. Exits 0 if all came to their fate.
 */
#include "config.h"

#include "tests/hostile.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/options.h"

#define PATIENCE_S 60
#define LOOK_AGAIN_NS (5 * NS_PER_MS)
#define LOG_MOST (4 << 20) /* bytes of the handler's log */
#define EXIT_WRONG 3
#define EXIT_LACKING 77

struct arguments {
	const char *socket;
	const char *image;
	const char *log;
	const char *only;
	uint64_t handler;
	bool help;
};

#define AT(field_) offsetof(struct arguments, field_)

static const struct option_row rows[] = {
	{"socket", 's', OPTION_TEXT, AT(socket), "PATH", "of the handler", NULL},
	{"image", 'i', OPTION_TEXT, AT(image), "FILE", "that it serves", NULL},
	{"handler", 0, OPTION_NUMBER, AT(handler), "PID", "of it", NULL},
	{"log", 0, OPTION_TEXT, AT(log), "FILE", "its standard error", NULL},
	{"only", 0, OPTION_TEXT, AT(only), "PLAY", "this one, not all", NULL},
	{"help", 'h', OPTION_FLAG, AT(help), NULL, "print this", NULL},
	{"", 0, OPTION_FLAG, 0, NULL, NULL, NULL},
};

const struct play *hostile_play;

static const struct arguments *args;

/* ---- in the process of a play ---- */

void hostile_hand_over(struct stage *stage)
{
	struct handover_setup setup = {
		.socket = stage->socket, .generation = "1.12", .send = "uffd"};

	stage->conn = memory_hand_over(&stage->memory, &setup);
}

void hostile_compare(const struct stage *stage, size_t first, size_t count)
{
	size_t unit = stage->memory.unit;

	for (size_t i = first; i < first + count; i++)
		if (memcmp(memory_page(&stage->memory, i), stage->image + i * unit, unit) != 0) {
			fprintf(stderr, "hostile: WRONG: page %zu\n", i);
			_exit(EXIT_WRONG);
		}
}

/* The handler has what there is of the userfaultfd: it must kill us, and until then
 * no page may hold what is not its own. */
static void NORETURN meet_doom(const struct stage *stage)
{
	close(stage->memory.uffd);
	hostile_compare(stage, 0, stage->memory.pages);
	for (;;)
		pause();
}

static void see_it_closed(const struct stage *stage)
{
	char c;

	if (recv(stage->conn, &c, 1, 0) > 0)
		errx(1, "the handler has answered");
}

static void NORETURN perform(const struct play *play, struct stage *stage)
{
	struct memory_setup setup = play->setup;

	hostile_play = play;
	alarm(PATIENCE_S);
	setup.size = stage->size;
	setup.regions = 2;
	memory_map(&stage->memory, &setup);
	play->act(stage);
	if (play->fate == FATE_KILLED)
		meet_doom(stage);
	if (play->fate == FATE_CLOSED)
		see_it_closed(stage);
	_exit(play->fate == FATE_DIES ? 1 : 0);
}

/* ---- outside ---- */

static const unsigned char *image_map(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", path);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	*ret_size = (size_t)st.st_size;
	return map;
}

static size_t descriptors(pid_t pid)
{
	char path[64];
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		err(1, "the handler has ended: %s", path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Whether the handler says so of the machine in one of its lines. */
static bool logged(pid_t pid, const char *text)
{
	static char log[LOG_MOST + 1];
	int fd = open(args->log, O_RDONLY | O_CLOEXEC);
	char of[64];
	ssize_t n;

	if (fd < 0 || (n = read(fd, log, LOG_MOST)) < 0)
		err(1, "%s", args->log);
	close(fd);
	log[n] = '\0';
	snprintf(of, sizeof(of), ": machine %d: ", (int)pid);
	for (char *rest = log, *line; (line = strsep(&rest, "\n"));)
		if (strstr(line, of) && strstr(line, text))
			return true;
	return false;
}

/* Looks again and again until it is true, for PATIENCE_S at most. */
#define AWAIT(condition_, ...)                                                                     \
	do {                                                                                       \
		uint64_t until_ = clock_monotonic_ns() + PATIENCE_S * NS_PER_SEC;                  \
		while (!(condition_)) {                                                            \
			if (clock_monotonic_ns() > until_)                                         \
				errx(1, __VA_ARGS__);                                              \
			nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_NS}, NULL);             \
		}                                                                                  \
	} while (0)

static void fate_check(const struct play *play, int status)
{
	bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	bool right = play->fate == FATE_KILLED || play->fate == FATE_DIES
			     ? killed
			     : WIFEXITED(status) && WEXITSTATUS(status) == 0;

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_WRONG)
		errx(1, "%s: read a wrong byte", play->name);
	if (!right)
		errx(1, "%s: its status is 0x%x", play->name, (unsigned int)status);
}

static void play_run(const struct play *play, struct stage *stage, size_t open_before)
{
	static const char *const fates[] = {"killed", "closed", "served", "dead"};
	pid_t pid = fork();
	int status;

	if (pid < 0)
		err(1, "fork");
	if (pid == 0)
		perform(play, stage);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_LACKING) {
		printf("hostile: %s: left out: the system lacks what it needs\n", play->name);
		return;
	}
	fate_check(play, status);
	if (play->log)
		AWAIT(logged(pid, play->log), "%s: the handler does not say '%s' of machine %d",
		      play->name, play->log, (int)pid);
	AWAIT(descriptors(stage->handler) == open_before, "%s: the handler has kept descriptors",
	      play->name);
	printf("hostile: %s: %s\n", play->name, fates[play->fate]);
	fflush(stdout);
}

static size_t plays_run(const struct play *plays, struct stage *stage, size_t open_before)
{
	size_t n = 0;

	for (const struct play *play = plays; play->name; play++) {
		if (args->only && strcmp(args->only, play->name) != 0)
			continue;
		play_run(play, stage, open_before);
		n++;
	}
	return n;
}

/* A machine that is stopped in full swing and later finds the rest of its memory. */
static void NORETURN stop_and_go_on(struct stage *stage)
{
	struct memory_setup setup = {.size = stage->size, .regions = 2};

	memory_map(&stage->memory, &setup);
	hostile_hand_over(stage);
	hostile_compare(stage, 0, stage->memory.pages / 2);
	raise(SIGSTOP);
	hostile_compare(stage, 0, stage->memory.pages);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct arguments given = {0};
	int operand = options_parse(rows, &given, argc, argv, false);
	struct stage stage = {.conn = -1};
	size_t open_before;
	pid_t stopped;
	int status;
	size_t n;

	if (operand < 0)
		errx(2, "%s", fail_text(operand));
	if (!given.socket || !given.image || !given.log || !given.handler || operand != argc)
		errx(2, "--socket, --image, --handler and --log are needed");
	args = &given;
	stage.socket = args->socket;
	stage.handler = (pid_t)args->handler;
	stage.image = image_map(args->image, &stage.size);
	stopped = fork();
	if (stopped == 0)
		stop_and_go_on(&stage);
	if (waitpid(stopped, &status, WUNTRACED) < 0 || !WIFSTOPPED(status))
		errx(WIFEXITED(status) ? WEXITSTATUS(status) : 1, "the first machine ends");
	open_before = descriptors(stage.handler);
	n = plays_run(hostile_socket_plays, &stage, open_before);
	n += plays_run(hostile_memory_plays, &stage, open_before);
	kill(stopped, SIGCONT);
	if (waitpid(stopped, &status, 0) < 0 || status != 0)
		errx(1, "the machine that was stopped: its status is 0x%x", (unsigned int)status);
	printf("hostile: %zu plays\n", n);
	return n > 0 ? 0 : 1;
}
