/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"
#include "base/fail.h"

#define BACKLOG 128
#define LOCK_PAUSE_NS (10 * NS_PER_MS)
#define LOCK_TRIES_OPEN 100 /* nothing runs yet: a second may pass */
#define LOCK_TRIES_CLOSE 2  /* machines may wait to be seen to their end */

struct listener {
	const char *path; /* borrowed */
	int fd;
	/* the file we made: unlinked only while path still names it */
	bool bound;
	dev_t dev;
	ino_t ino;
};

static int failed(const struct listener *listener, int err, const char *what)
{
	return fail_with(err, "listen on %s: %s%s%s", listener->path, what, *what ? ": " : "",
			 strerror(-err));
}

/* The lock under which names in the directory of path change hands. Others of us
 * hold it for a few system calls only; but whoever can open the directory can hold
 * it for ever, so it is not waited for but asked for a few times. Returns the
 * descriptor that holds it, -EBUSY, or -errno of open(2) or flock(2). */
static int directory_lock(const char *path, int tries)
{
	AUTO_FREE char *copy = strdup(path);
	AUTO_CLOSE int fd = -1;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (--tries == 0)
			return -EBUSY;
		nanosleep(&(struct timespec){.tv_nsec = (long)LOCK_PAUSE_NS}, NULL);
	}
	return TAKE_FD(fd);
}

/* Removes a socket that nobody listens on. */
static int dead_remove(const struct listener *listener, const struct sockaddr_un *name)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (lstat(listener->path, &st) < 0)
		return errno == ENOENT ? 0 : failed(listener, -errno, "");
	if (!S_ISSOCK(st.st_mode))
		return fail_with(-EEXIST, "listen on %s: there is something else than a socket",
				 listener->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return failed(listener, -errno, "socket");
	if (connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 || errno == EAGAIN)
		return fail_with(-EADDRINUSE,
				 "listen on %s: another process listens there; stop it or "
				 "choose another name",
				 listener->path);
	if (errno != ECONNREFUSED)
		return failed(listener, -errno, "connect");
	return unlink(listener->path) < 0 ? failed(listener, -errno, "unlink") : 0;
}

static int socket_bind(struct listener *listener, const struct sockaddr_un *name)
{
	struct stat st;
	mode_t mask;
	int r;

	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return failed(listener, -errno, "socket");
	mask = umask(0177);
	r = bind(listener->fd, (const struct sockaddr *)name, sizeof(*name));
	umask(mask);
	if (r < 0)
		return failed(listener, -errno, "bind");
	if (lstat(listener->path, &st) < 0)
		return failed(listener, -errno, "stat");
	listener->bound = true;
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	/* before the lock goes: a socket that is bound only looks dead to others */
	return listen(listener->fd, BACKLOG) < 0 ? failed(listener, -errno, "listen") : 0;
}

int listener_open(const char *path, struct listener **ret)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	AUTO_LISTENER struct listener *listener = NULL;
	AUTO_CLOSE int lock = -1;
	int r;

	if (strlen(path) >= sizeof(name.sun_path))
		return fail_with(-ENAMETOOLONG,
				 "listen on %s: the name of a socket has at most %zu bytes", path,
				 sizeof(name.sun_path) - 1);
	memcpy(name.sun_path, path, strlen(path) + 1);
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	listener->path = path;
	listener->fd = -1;
	lock = directory_lock(path, LOCK_TRIES_OPEN);
	if (lock == -EBUSY)
		return fail_with(lock, "listen on %s: another process has locked its directory",
				 path);
	if (lock < 0)
		return failed(listener, lock, "its directory");
	r = dead_remove(listener, &name);
	if (r == 0)
		r = socket_bind(listener, &name);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(listener);
	return 0;
}

void listener_shut(struct listener *listener)
{
	(void)shutdown(listener->fd, SHUT_RD);
}

void listener_close(struct listener *listener)
{
	struct stat st;

	if (!listener)
		return;
	if (listener->bound) {
		AUTO_CLOSE int lock = directory_lock(listener->path, LOCK_TRIES_CLOSE);

		/* without the lock it stays, dead, for the next to take over */
		if (lock >= 0 && lstat(listener->path, &st) == 0 && st.st_dev == listener->dev &&
		    st.st_ino == listener->ino)
			unlink(listener->path);
	}
	if (listener->fd >= 0)
		close(listener->fd);
	free(listener);
}

int listener_fd(const struct listener *listener)
{
	return listener->fd;
}

const char *listener_path(const struct listener *listener)
{
	return listener->path;
}

int listener_accept(const struct listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}
