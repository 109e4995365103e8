/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/exit.h"
#include "base/fail.h"
#include "base/io.h"
#include "bench/place.h"

#define PATIENCE_S 600
#define EXIT_CANNOT_RUN 127

bool process_is_installed(const char *name)
{
	const char *path = getenv("PATH");
	AUTO_FREE char *copy = strdup(path ? path : "");
	char *rest = copy;
	const char *dir;
	char full[PATH_MAX];

	while (rest && (dir = strsep(&rest, ":")))
		if (snprintf(full, sizeof(full), "%s/%s", dir, name) < (int)sizeof(full) &&
		    access(full, X_OK) == 0)
			return true;
	return false;
}

/* In a new child: it does not outlive us. */
static void settle(pid_t parent, int cpu)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* process_stop() ends it; a terminal's signal is for us, who end it then */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (getppid() != parent || place_pin(cpu) < 0)
		_exit(EXIT_CANNOT_RUN);
}

static pid_t start(int cpu)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0)
		settle(parent, cpu);
	return pid;
}

static NORETURN void become(const char *const *argv)
{
	execvp(argv[0], (char *const *)argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(EXIT_CANNOT_RUN);
}

/* By vfork(): fork() copies the page tables of the image, which we have in memory, and
 * the child then frees them. Those are 10 ms that are not the program's. */
static pid_t start_quiet(const char *const *argv, int cpu)
{
	AUTO_CLOSE int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t parent = getpid();
	pid_t pid = vfork();

	if (pid == 0) {
		settle(parent, cpu);
		if (null >= 0)
			dup2(null, STDOUT_FILENO);
		become(argv);
	}
	return pid;
}

static int status_judge(int status, const char *what)
{
	if (WIFSIGNALED(status))
		return fail_with(-EIO, "%s was ended by signal %d", what, WTERMSIG(status));
	switch (WEXITSTATUS(status)) {
	case EXIT_DONE:
		return 0;
	case EXIT_USAGE:
		return fail_with(-ENOSYS, "%s does not know what it was asked for", what);
	case EXIT_DAMAGE:
		return fail_with(-EBADMSG, "%s says that something is damaged", what);
	default:
		return fail_with(-EIO, "%s ended with exit code %d", what, WEXITSTATUS(status));
	}
}

int process_wait(pid_t pid, const char *what)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_with(-errno, "lost %s: %s", what, strerror(errno));
	return status_judge(status, what);
}

int process_run(const char *const *argv, int cpu, double *ret_seconds)
{
	uint64_t begun = clock_monotonic_ns();
	pid_t pid = start_quiet(argv, cpu);
	char what[128];
	int r;

	if (pid < 0)
		return fail_with(-errno, "cannot start %s: %s", argv[0], strerror(errno));
	snprintf(what, sizeof(what), "%s %s", argv[0], argv[1] ? argv[1] : "");
	r = process_wait(pid, what);
	if (r == 0 && ret_seconds)
		*ret_seconds = (double)(clock_monotonic_ns() - begun) / (double)NS_PER_SEC;
	return r;
}

/* Until the server says that it is ready. */
static int ready_wait(int fd, pid_t pid, const char *what)
{
	char c;
	ssize_t n;

	do {
		n = read(fd, &c, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		return 0;
	process_stop(pid);
	return fail_with(-EIO, "%s did not start", what);
}

int process_serve_function(process_serve serve, const void *argument, int cpu, pid_t *ret)
{
	int pipes[2];
	pid_t pid;
	int r;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return fail_with(-errno, "cannot make a pipe: %s", strerror(errno));
	pid = start(cpu);
	if (pid == 0) {
		close(pipes[0]);
		r = serve(argument, pipes[1]);
		if (r < 0)
			fprintf(stderr, "bench: %s\n", fail_text(r));
		_exit((int)exit_code(r));
	}
	close(pipes[1]);
	r = pid < 0 ? fail_with(-errno, "cannot start a process: %s", strerror(errno))
		    : ready_wait(pipes[0], pid, "a server of the bench");
	close(pipes[0]);
	if (r == 0)
		*ret = pid;
	return r;
}

int process_serve_program(const char **argv, size_t ready, const char *log, int cpu, pid_t *ret)
{
	char number[16];
	int pipes[2];
	pid_t pid;
	int r;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return fail_with(-errno, "cannot make a pipe: %s", strerror(errno));
	snprintf(number, sizeof(number), "%d", pipes[1]);
	argv[ready] = number;
	pid = start(cpu);
	if (pid == 0) {
		int to = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		if (to >= 0)
			dup2(to, STDERR_FILENO);
		fcntl(pipes[1], F_SETFD, 0);
		become(argv);
	}
	close(pipes[1]);
	r = pid < 0 ? fail_with(-errno, "cannot start %s: %s", argv[0], strerror(errno))
		    : ready_wait(pipes[0], pid, argv[0]);
	close(pipes[0]);
	argv[ready] = "";
	if (r == 0)
		*ret = pid;
	return r;
}

void process_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

uint64_t process_memory(pid_t pid)
{
	uint64_t sum = 0;
	char line[256];
	FILE *in;

	snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
	in = fopen(line, "re");
	while (in && fgets(line, sizeof(line), in)) {
		unsigned long long kib;

		if (sscanf(line, "RssAnon: %llu", &kib) == 1 ||
		    sscanf(line, "RssShmem: %llu", &kib) == 1)
			sum += kib * 1024;
	}
	if (in)
		fclose(in);
	return sum;
}

uint64_t process_child_memory(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	in = fopen(path, "re");
	if (!in)
		return 0;
	if (fscanf(in, "%d", &child) != 1)
		child = 0;
	fclose(in);
	return child ? process_memory(child) : 0;
}

/* By the scheduler's account, which knows no ticks. */
static uint64_t threads_time(pid_t pid)
{
	char pattern[64];
	glob_t found;
	uint64_t sum = 0;

	snprintf(pattern, sizeof(pattern), "/proc/%d/task/*/schedstat", (int)pid);
	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *in = fopen(found.gl_pathv[i], "re");
		uint64_t ns;

		if (in && fscanf(in, "%" SCNu64, &ns) == 1)
			sum += ns;
		if (in)
			fclose(in);
	}
	globfree(&found);
	return sum;
}

uint64_t process_time(pid_t pid)
{
	uint64_t sum = threads_time(pid);
	char path[64];
	int child;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	in = fopen(path, "re");
	while (in && fscanf(in, "%d", &child) == 1)
		sum += threads_time(child);
	if (in)
		fclose(in);
	return sum;
}

/* What comes back from a measuring process, before its result. */
struct answer {
	int r;
	char text[FAIL_TEXT_MAX];
};

static NORETURN void answer_and_exit(int fd, int r, const void *result, size_t len)
{
	struct answer answer = {.r = r};

	if (r < 0)
		fail_copy(r, answer.text);
	if (io_write_full(fd, &answer, sizeof(answer)) < 0 || io_write_full(fd, result, len) < 0)
		_exit(EXIT_FAILED);
	_exit(EXIT_DONE);
}

static int answer_take(int fd, pid_t pid, void *result, size_t len)
{
	struct answer answer;
	bool whole = io_read_full(fd, &answer, sizeof(answer)) == (ssize_t)sizeof(answer) &&
		     io_read_full(fd, result, len) == (ssize_t)len;
	int r = process_wait(pid, "the measuring process");

	if (whole && answer.r < 0)
		return fail_with(answer.r, "%s", answer.text);
	return whole || r < 0 ? r : fail_with(-EIO, "the measuring process gave no result");
}

int process_call(process_measure measure, const void *argument, int cpu, void *result, size_t len)
{
	AUTO_FREE void *fresh = calloc(1, len);
	int pipes[2];
	pid_t pid;
	int r;

	if (!fresh)
		return fail_with(-ENOMEM, "out of memory");
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return fail_with(-errno, "cannot make a pipe: %s", strerror(errno));
	pid = start(cpu);
	if (pid == 0) {
		alarm(PATIENCE_S);
		answer_and_exit(pipes[1], measure(argument, fresh), fresh, len);
	}
	close(pipes[1]);
	if (pid < 0)
		r = fail_with(-errno, "cannot start a process: %s", strerror(errno));
	else
		r = answer_take(pipes[0], pid, fresh, len);
	close(pipes[0]);
	if (r == 0)
		memcpy(result, fresh, len);
	return r;
}
