/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/descriptors.h"
#include "base/fail.h"
#include "base/io.h"
#include "base/log.h"

static void replace(int fd, int flags)
{
	AUTO_CLOSE int null = open("/dev/null", flags | O_CLOEXEC);

	if (null >= 0)
		dup2(null, fd);
}

/* In the parent: 0 once the child is ready, else the code it exits with. */
static NORETURN void wait_and_exit(pid_t child, int fd)
{
	char byte;
	int status = 0;

	if (io_read_full(fd, &byte, 1) == 1)
		_exit(0);
	/* the pipe ended with the child */
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

int daemon_start(void)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_with(-errno, "cannot make a pipe: %s", strerror(errno));
	child = fork();
	if (child < 0) {
		int err = -errno;

		close(ends[0]);
		close(ends[1]);
		return fail_with(err, "cannot fork: %s", strerror(-err));
	}
	if (child > 0) {
		close(ends[1]);
		wait_and_exit(child, ends[0]);
	}
	close(ends[0]);
	setsid();
	replace(STDIN_FILENO, O_RDONLY);
	replace(STDOUT_FILENO, O_WRONLY);
	return ends[1];
}

static bool is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

void daemon_ready(int ready_fd)
{
	if (!is_file(STDERR_FILENO)) {
		/* a pipe or a terminal would keep someone waiting for its end */
		log_to_syslog();
		replace(STDERR_FILENO, O_WRONLY);
	}
	/* the parent may have been killed; the view is there all the same */
	(void)!io_write_full(ready_fd, "", 1);
	close(ready_fd);
}

void daemon_own_descriptors(void)
{
	descriptors_fill();
	close_range(STDERR_FILENO + 1, ~0U, 0);
}
