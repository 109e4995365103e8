/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"

DEFINE_AUTO(FILE *, fclose)

void program_find(const char *name, char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/') + 1;
		if (snprintf(slash, PATH_MAX - (size_t)(slash - path), "%s", name) <
			    PATH_MAX - (slash - path) &&
		    access(path, X_OK) == 0)
			return;
	}
	snprintf(path, PATH_MAX, "%s/%s", SBINDIR, name);
	if (access(path, X_OK) != 0)
		snprintf(path, PATH_MAX, "%s", name);
}

static int fail_start(const char *name, int error)
{
	return fail_with(error == ENOENT ? -ESRCH : -error, "%s: %s%s", name, strerror(error),
			 error == ENOENT ? ": is it installed?" : "");
}

int program_exec(const char *name, char *const argv[])
{
	char path[PATH_MAX];

	program_find(name, path);
	/* ignored signals would stay ignored in the program */
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	execvp(path, argv);
	return fail_start(name, errno);
}

/* Starts it with the default signals and with err_fd as standard error. */
static int start(const char *name, char *const argv[], int err_fd, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char path[PATH_MAX];
	sigset_t signals;
	int error;

	program_find(name, path);
	sigemptyset(&signals);
	sigaddset(&signals, SIGPIPE);
	sigaddset(&signals, SIGXFSZ);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &signals);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&actions);
	error = posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
	if (error == 0)
		error = posix_spawnp(ret_pid, path, &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return error ? fail_start(name, error) : 0;
}

static int wait_end(const char *name, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_with(-errno, "waiting for %s: %s", name, strerror(errno));
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return fail_with(-EIO, "%s was ended by signal %d", name, WTERMSIG(status));
}

/* Reads all lines until the last writer is gone; keeps the last. */
static void read_last_line(FILE *from, char *said, size_t room)
{
	AUTO_FREE char *line = NULL;
	size_t line_room = 0;

	said[0] = '\0';
	while (getline(&line, &line_room, from) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			snprintf(said, room, "%s", line);
	}
}

int program_run(const char *name, char *const argv[], char *said, size_t room)
{
	AUTO(fclose_at) FILE *from = NULL;
	int ends[2];
	pid_t pid;
	int r;

	if (!said) {
		r = start(name, argv, STDERR_FILENO, &pid);
		return r < 0 ? r : wait_end(name, pid);
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_with(-errno, "making a pipe: %s", strerror(errno));
	r = start(name, argv, ends[1], &pid);
	close(ends[1]);
	from = fdopen(ends[0], "r");
	if (!from)
		close(ends[0]);
	if (r < 0)
		return r;
	if (from)
		read_last_line(from, said, room);
	return wait_end(name, pid);
}
