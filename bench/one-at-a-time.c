/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/one-at-a-time.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"

#define PAGE 4096
#define RUN (UINT64_C(2) << 20)

struct machine {
	int conn;
	int uffd;
	uint64_t va;
	uint64_t size;
	const unsigned char *image; /* mapped, size bytes */
};

static int listen_on(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(name.sun_path))
		return fail_with(-ENAMETOOLONG, "%s is too long for a socket", path);
	memcpy(name.sun_path, path, strlen(path) + 1);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(fd, 1) < 0)
		return fail_with(-errno, "cannot listen on %s: %s", path, strerror(errno));
	return TAKE_FD(fd);
}

/* One region, one descriptor. */
static int machine_receive(struct machine *m)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char text[4096];
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(m->conn, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (!c)
		return fail_with(-EPROTO, "no hand-over came");
	memcpy(&m->uffd, CMSG_DATA(c), sizeof(m->uffd));
	text[n] = '\0';
	if (sscanf(text, "[{\"base_host_virt_addr\":%" SCNu64 ",\"size\":%" SCNu64, &m->va,
		   &m->size) != 2)
		return fail_with(-EPROTO, "the hand-over is not one region: %s", text);
	return 0;
}

static int copy(const struct machine *m, uint64_t off, uint64_t len)
{
	struct uffdio_copy args = {
		.dst = m->va + off, .src = (uintptr_t)(m->image + off), .len = len};

	if (ioctl(m->uffd, UFFDIO_COPY, &args) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* poll, read one message, copy one page. Until the machine has gone. */
static int serve(const struct machine *m)
{
	struct pollfd fds[] = {{.fd = m->uffd, .events = POLLIN},
			       {.fd = m->conn, .events = POLLIN | POLLRDHUP}};
	struct uffd_msg msg;
	int r = 0;

	while (r == 0 || r == -EAGAIN) {
		if (poll(fds, 2, -1) < 0)
			return -errno;
		if (fds[1].revents)
			return 0;
		if (read(m->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		if (msg.event == UFFD_EVENT_PAGEFAULT)
			r = copy(m, (msg.arg.pagefault.address & ~(uint64_t)(PAGE - 1)) - m->va,
				 PAGE);
	}
	/* it died in a fault */
	return r == -ESRCH ? 0 : r;
}

static int fill(const struct machine *m)
{
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < m->size; off += RUN)
		r = copy(m, off, MIN(RUN, m->size - off));
	return r;
}

static int machine_serve(const struct one_at_a_time *setup, struct machine *m)
{
	int r = machine_receive(m);

	if (r == 0)
		r = setup->fill ? fill(m) : serve(m);
	if (m->uffd >= 0)
		close(m->uffd);
	close(m->conn);
	return r;
}

int one_at_a_time_serve(const void *argument, int ready_fd)
{
	const struct one_at_a_time *setup = argument;
	AUTO_CLOSE int image = open(setup->image, O_RDONLY | O_CLOEXEC);
	int listener = listen_on(setup->socket);
	struct machine m;
	struct stat st;
	void *map;
	int r = 0;

	if (listener < 0)
		return listener;
	if (image < 0 || fstat(image, &st) < 0)
		return fail_with(-errno, "cannot open %s: %s", setup->image, strerror(errno));
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, image, 0);
	if (map == MAP_FAILED)
		return fail_with(-errno, "cannot map %s: %s", setup->image, strerror(errno));
	r = io_write_full(ready_fd, "\n", 1);
	do {
		m = (struct machine){.uffd = -1, .image = map};
		m.conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		r = m.conn < 0 ? -errno : machine_serve(setup, &m);
	} while (r == 0 && !setup->fill);
	return r;
}
