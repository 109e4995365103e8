/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order matters: the daemon's pid can be asked for only while it is mounted,
 * and a descriptor of the process, opened before it can end, is what tells its end
 * from the beginning of another process with the same pid.
 */
#include "config.h"

#include "cli/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/mounts.h"
#include "base/units.h"
#include "base/view-names.h"
#include "cli/program.h"
#include "db/catalog.h"

/* RELEASE arrives after close() has returned: what was just closed may still
 * count as open. */
#define BUSY_WAIT_NS (2 * NS_PER_SEC)
#define BUSY_STEP_NS (20 * NS_PER_MS)
#define END_WAIT_MS 60000
#define ANSWER_WAIT_MS 5000
#define STORE_MOST 4096 /* drafts that are stored first */

/* The absolute path of dir without symlinks. A dead mount answers nothing about
 * itself, so where dir cannot be resolved its parent is. */
static int resolve(const char *dir, char path[PATH_MAX])
{
	char parent[PATH_MAX];
	char *slash;
	size_t len;

	if (realpath(dir, path))
		return 0;
	if (errno != ENOTCONN)
		return fail_with(errno == ENOENT ? -EINVAL : -errno, "%s", strerror(errno));
	len = (size_t)snprintf(parent, sizeof(parent), "%s%s", dir[0] == '/' ? "" : "./", dir);
	if (len >= sizeof(parent))
		return fail_with(-ENAMETOOLONG, "the path is too long");
	while (len > 1 && parent[len - 1] == '/')
		parent[--len] = '\0';
	slash = strrchr(parent, '/');
	*slash = '\0';
	if (!realpath(slash == parent ? "/" : parent, path))
		return fail_with(-errno, "%s: %s", parent, strerror(errno));
	len = strlen(path);
	if (snprintf(path + len, PATH_MAX - len, "%s%s", len > 1 ? "/" : "", slash + 1) >=
	    (int)(PATH_MAX - len))
		return fail_with(-ENAMETOOLONG, "the path is too long");
	return 0;
}

static int check_is_view(const char *path, struct mounts_entry *ret)
{
	int r = mounts_find(path, ret);

	if (r == -ENOENT)
		return fail_with(-EINVAL, "nothing is mounted there");
	if (r < 0)
		return r;
	if (strcmp(ret->type, VIEW_TYPE) != 0)
		return fail_with(-EINVAL, "a file system of type %s is mounted there, not a view",
				 ret->type);
	return 0;
}

/* -ENOTCONN where the daemon is dead. */
static int read_pid(const char *path, pid_t *ret_pid)
{
	char text[32];
	uint64_t pid;
	ssize_t n = getxattr(path, VIEW_XATTR_PID, text, sizeof(text) - 1);

	if (n < 0)
		return fail_with(-errno, "asking for its daemon: %s", strerror(errno));
	text[n] = '\0';
	if (units_parse_number(text, INT_MAX, &pid) < 0 || pid == 0)
		return fail_with(-EPROTO, "its daemon gives '%s' as its pid", text);
	*ret_pid = (pid_t)pid;
	return 0;
}

/* Returns a descriptor of the daemon's process. The pid is read again after it was
 * opened: who answers then is alive, so the descriptor is not of a successor. */
static int open_daemon(const char *path)
{
	AUTO_CLOSE int fd = -1;
	pid_t pid;
	pid_t again;
	int r = read_pid(path, &pid);

	if (r < 0)
		return r;
	fd = pidfd_open(pid, 0);
	if (fd < 0)
		return fail_with(errno == ESRCH ? -ENOTCONN : -errno, "its daemon, pid %d: %s",
				 (int)pid, strerror(errno));
	r = read_pid(path, &again);
	if (r < 0)
		return r;
	if (again != pid)
		return fail_with(-EAGAIN, "another view has just been mounted there: try again");
	return TAKE_FD(fd);
}

/* An ordinary user unmounts through the set-user-id helper of FUSE, which tells its
 * reason in words only. */
static int unmount_once(const char *path, int flags)
{
	char *const argv[] = {"fusermount3", flags & MNT_DETACH ? "-uz" : "-u", "--", (char *)path,
			      NULL};
	char said[256] = "";
	int code;

	if (umount2(path, flags | UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM || geteuid() == 0)
		return -errno;
	code = program_run("fusermount3", argv, said, sizeof(said));
	if (code <= 0)
		return code;
	return strstr(said, "busy") ? -EBUSY : -EPERM;
}

static int unmount_wait(const char *path)
{
	const struct timespec step = {.tv_nsec = BUSY_STEP_NS};
	uint64_t deadline = clock_monotonic_ns() + BUSY_WAIT_NS;
	int r;

	while ((r = unmount_once(path, 0)) == -EBUSY && clock_monotonic_ns() < deadline)
		nanosleep(&step, NULL);
	if (r == -EBUSY)
		return fail_with(r, "it is in use: close what is open below it and try again");
	return r < 0 ? fail_with(r, "%s", strerror(-r)) : 0;
}

static int wait_end(int daemon_fd)
{
	struct pollfd ended = {.fd = daemon_fd, .events = POLLIN};
	int n;

	do
		n = poll(&ended, 1, END_WAIT_MS);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_with(-errno, "waiting for its daemon: %s", strerror(errno));
	if (n == 0)
		return fail_with(-ETIMEDOUT,
				 "it is unmounted, but its daemon has not ended for %d s: it may "
				 "be mounted in another mount namespace, as of a container",
				 END_WAIT_MS / 1000);
	return 0;
}

/* Nothing is left to flush, and who still holds files of it only gets errors. */
static int unmount_dead(const char *path)
{
	int r = unmount_once(path, MNT_DETACH);

	return r < 0 ? fail_with(r, "its daemon is dead, and unmounting: %s", strerror(-r)) : 0;
}

/* A stopped daemon answers nothing, and who asks it hangs with it: so a child asks
 * first. One that hangs is left to itself: it may not even end when it is killed. */
static int check_answers(const char *dir)
{
	struct pollfd ended = {.fd = -1, .events = POLLIN};
	AUTO_CLOSE int fd = -1;
	pid_t child = fork();
	char text[32];

	if (child < 0)
		return fail_with(-errno, "cannot fork: %s", strerror(errno));
	if (child == 0) {
		(void)!getxattr(dir, VIEW_XATTR_PID, text, sizeof(text));
		_exit(0);
	}
	fd = ended.fd = pidfd_open(child, 0);
	if (fd >= 0 && poll(&ended, 1, ANSWER_WAIT_MS) == 0) {
		kill(child, SIGKILL);
		return fail_with(
			-EBUSY,
			"its daemon has not answered for %d s: let it go on, or detach the "
			"view with 'umount -l'",
			ANSWER_WAIT_MS / 1000);
	}
	waitpid(child, NULL, 0);
	return 0;
}

/* Stores what draft name holds: fsync does, and says what keeps it from that. */
static int store_draft(const char *path, const char *name)
{
	char file[PATH_MAX];
	AUTO_CLOSE int fd = -1;

	if (snprintf(file, sizeof(file), "%s/%s/mem", path, name) >= (int)sizeof(file))
		return fail_with(-ENAMETOOLONG, "the path is too long");
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) == 0)
		return 0;
	return fail_with(-errno,
			 "draft %s holds what cannot be stored: %s: make room or wait and try "
			 "again; umount(8) unmounts without, which loses it",
			 name, strerror(errno));
}

/* The daemon ends with what it could not store, and nobody would hear of it. Who
 * goes on writing has it open: unmounting finds that. */
static int store_drafts(const char *path)
{
	char name[SNAPSHOT_NAME_MAX + 1];
	ssize_t n;
	int r = 0;

	for (int i = 0; r == 0 && i < STORE_MOST; i++) {
		n = getxattr(path, VIEW_XATTR_UNSTORED, name, sizeof(name) - 1);
		if (n < 0 && errno == ENODATA)
			return 0;
		if (n < 0)
			return fail_with(-errno, "asking for what is not stored: %s",
					 strerror(errno));
		name[n] = '\0';
		r = store_draft(path, name);
	}
	return r;
}

/* Unmounts a view with a daemon. That serves it as long as it is anywhere, as by a bind
 * mount; looked up before, as its number may be another's by then. */
static int unmount_alive(const struct mounts_entry *view, int daemon_fd)
{
	struct mounts_entry other;
	int elsewhere = mounts_find_other(view, &other);
	int r = elsewhere < 0 && elsewhere != -ENOENT ? elsewhere : unmount_wait(view->point);

	if (r < 0)
		return r;
	if (elsewhere == 0)
		return fail_with(-EBUSY,
				 "it is unmounted, but it is mounted on %s too, and its daemon "
				 "goes on: unmount that as well",
				 other.point);
	return wait_end(daemon_fd);
}

int unmount_view(const char *dir)
{
	AUTO_CLOSE int daemon_fd = -1;
	struct mounts_entry view;
	char path[PATH_MAX];
	int r = check_answers(dir);

	if (r == 0)
		r = resolve(dir, path);
	if (r == 0)
		r = check_is_view(path, &view);
	if (r < 0)
		return r;
	daemon_fd = open_daemon(path);
	if (daemon_fd == -ENOTCONN)
		return unmount_dead(path);
	if (daemon_fd < 0)
		return daemon_fd;
	r = store_drafts(path);
	return r < 0 ? r : unmount_alive(&view, daemon_fd);
}
