/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/receive.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "handler/handover.h"
#include "handler/uffd.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

int receive_peer(int conn, pid_t *ret_pid, uid_t *ret_uid, int *ret_pidfd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	socklen_t fd_len = sizeof(*ret_pidfd);
	int fd;

	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (getsockopt(conn, SOL_SOCKET, SO_PEERPIDFD, &fd, &fd_len) < 0) {
		if (errno != ENOPROTOOPT)
			return errno == ENODATA ? -ESRCH : -errno;
		/* an older kernel: the pid may have been used again by now */
		fd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
		if (fd < 0)
			return -errno;
	}
	*ret_pid = cred.pid;
	*ret_uid = cred.uid;
	*ret_pidfd = fd;
	return 0;
}

/* Sorts one descriptor. */
static void fd_take(int fd, struct received *ret)
{
	if (uffd_is_one(fd))
		ret->uffds[ret->n++] = fd;
	else
		close(fd);
}

/* Returns how many descriptors came. There may be credentials before them, and
 * more than one set. */
static size_t fds_take(struct msghdr *msg, struct received *ret)
{
	size_t came = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n && came < RECEIVE_FDS_ROOM; i++, came++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			fd_take(fd, ret);
		}
	}
	ret->cut = msg->msg_flags & MSG_CTRUNC;
	return came;
}

/* Whether that is a hand-over. */
static int fds_check(const struct received *received, size_t came)
{
	if (received->cut)
		return fail_with(-EBADMSG, "some of its descriptors could not be received");
	if (came > RECEIVE_FDS_MOST)
		return fail_with(-EBADMSG, "%zu descriptors came, not 1 to %d", came,
				 RECEIVE_FDS_MOST);
	if (received->n != 1)
		return fail_with(-EBADMSG,
				 "%zu of the %zu descriptors that came with the first byte are "
				 "userfaultfds, not one",
				 received->n, came);
	return 0;
}

int receive_first(int conn, char *text, size_t room, size_t *ret_len, struct received *ret)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * RECEIVE_FDS_ROOM) + 256];
	struct iovec iov = {.iov_base = text, .iov_len = room};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(conn, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	size_t came;

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	ret->n = 0;
	came = fds_take(&msg, ret);
	if (n == 0 && came == 0 && !ret->cut)
		return -ENODATA;
	*ret_len = (size_t)n;
	return fds_check(ret, came);
}

/* 0: there is something to read, or an end. */
static int readable_wait(int conn, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = conn, .events = POLLIN};
	uint64_t now = clock_monotonic_ns();
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
	struct timespec room = {
		.tv_sec = (time_t)(left / NS_PER_SEC),
		.tv_nsec = (long)(left % NS_PER_SEC),
	};
	int r = ppoll(&p, 1, &room, NULL);

	if (r < 0 && errno != EINTR)
		return -errno;
	if (r == 0)
		return fail_with(-EBADMSG, "the rest of the text did not come in time");
	return 0;
}

int receive_rest(int conn, char *text, size_t room, size_t *len, uint64_t deadline_ns)
{
	struct handover_scan scan = {0};
	size_t seen = 0;

	for (;;) {
		ssize_t n;
		int r;

		if (handover_scan(&scan, text + seen, *len - seen))
			return 0;
		if (*len == room)
			return fail_with(-EBADMSG, "the text is longer than %d bytes",
					 HANDOVER_TEXT_MOST);
		seen = *len;
		r = readable_wait(conn, deadline_ns);
		if (r < 0)
			return r;
		/* without room for descriptors: the kernel drops any that come now */
		n = recv(conn, text + *len, room - *len, MSG_DONTWAIT);
		if (n == 0)
			return fail_with(-EBADMSG, "the text ends early, after %zu bytes", *len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		*len += n > 0 ? (size_t)n : 0;
	}
}
