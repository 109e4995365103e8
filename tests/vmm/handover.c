/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define MESSAGE_MAX 512

/* Never UFFD_USER_MODE_ONLY: most faults of a guest come from within KVM. */
static int open_uffd(void)
{
	AUTO_CLOSE int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int fd = device >= 0 ? ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK)
			     : (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? fail_with(-errno, "cannot make a userfaultfd: %s", strerror(errno)) : fd;
}

static int register_memory(int uffd, const struct memory *memory)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE};

	if (ioctl(uffd, UFFDIO_API, &api) < 0)
		return fail_with(-errno, "cannot use the userfaultfd: %s", strerror(errno));
	for (size_t i = 0; i < memory->nregions; i++) {
		struct uffdio_register range = {
			.range = {.start = (uintptr_t)memory->regions[i].base,
				  .len = memory->regions[i].size},
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};

		if (ioctl(uffd, UFFDIO_REGISTER, &range) < 0)
			return fail_with(-errno, "cannot register the memory: %s", strerror(errno));
	}
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTO_CLOSE int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return fail_with(-ENAMETOOLONG, "the path of the socket is too long: %s", path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail_with(-errno, "cannot connect to %s: %s", path, strerror(errno));
	return TAKE_FD(fd);
}

/* The value of page_size_kib is in bytes: so it is in Firecracker. */
static size_t write_regions(char text[MESSAGE_MAX], const struct memory *memory)
{
	size_t len = 0;

	for (size_t i = 0; i < memory->nregions; i++) {
		const struct memory_region *region = &memory->regions[i];

		len += (size_t)snprintf(text + len, MESSAGE_MAX - len,
					"%s{\"base_host_virt_addr\":%" PRIuPTR ",\"size\":%" PRIu64
					",\"offset\":%" PRIu64
					",\"page_size\":%u,\"page_size_kib\":%u}",
					i == 0 ? "[" : ",", (uintptr_t)region->base, region->size,
					region->off, MEMORY_PAGE, MEMORY_PAGE);
	}
	return len + (size_t)snprintf(text + len, MESSAGE_MAX - len, "]");
}

static int send_message(int sock, const char *text, size_t len, int uffd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = len};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	ssize_t n;

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &uffd, sizeof(int));
	n = sendmsg(sock, &message, MSG_NOSIGNAL);
	if (n < 0)
		return fail_with(-errno, "cannot hand the memory over: %s", strerror(errno));
	return (size_t)n == len ? 0 : fail_with(-EIO, "the memory was handed over in part");
}

int handover_start(struct handover *handover, const struct memory *memory, const char *socket_path)
{
	char text[MESSAGE_MAX];
	AUTO_CLOSE int uffd = open_uffd();
	AUTO_CLOSE int sock = -1;
	int r;

	*handover = (struct handover){.uffd = -1, .sock = -1};
	if (uffd < 0)
		return uffd;
	r = register_memory(uffd, memory);
	if (r < 0)
		return r;
	sock = connect_to(socket_path);
	if (sock < 0)
		return sock;
	r = send_message(sock, text, write_regions(text, memory), uffd);
	if (r < 0)
		return r;
	*handover = (struct handover){.uffd = TAKE_FD(uffd), .sock = TAKE_FD(sock)};
	return 0;
}

void handover_done(struct handover *handover)
{
	if (handover->uffd >= 0)
		close(handover->uffd);
	if (handover->sock >= 0)
		close(handover->sock);
	*handover = (struct handover){.uffd = -1, .sock = -1};
}
