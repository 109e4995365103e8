/* SPDX-License-Identifier: Apache-2.0 */
/* The hand-over as a handler sees it: one message, one descriptor, its events. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit.h"
#include "tests/vmm/handover.h"
#include "tests/vmm/memory.h"

#define MIB (UINT64_C(1) << 20)
#define PATIENCE_MS 10000

static char path[64];

static int start_listening(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(path, sizeof(path), "/tmp/check-vmm-handover.%d", getpid());
	strcpy(address.sun_path, path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

/* Takes the message, which must have come as one; returns its descriptor. */
static int receive(int sock, char *text, size_t size)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec part = {.iov_base = text, .iov_len = size - 1};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int fd;

	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_ptr_nonnull(rights);
	ck_assert_int_eq(rights->cmsg_type, SCM_RIGHTS);
	ck_assert_uint_eq(rights->cmsg_len, CMSG_LEN(sizeof(int)));
	ck_assert_ptr_null(CMSG_NXTHDR(&message, rights));
	memcpy(&fd, CMSG_DATA(rights), sizeof(fd));
	return fd;
}

static struct uffd_msg next_event(int uffd)
{
	struct pollfd ready = {.fd = uffd, .events = POLLIN};
	struct uffd_msg event;

	ck_assert_int_eq(poll(&ready, 1, PATIENCE_MS), 1);
	ck_assert_int_eq(read(uffd, &event, sizeof(event)), sizeof(event));
	return event;
}

static void *read_first_byte(void *page)
{
	return (void *)(uintptr_t) * (volatile unsigned char *)page;
}

static void *remove_page(void *memory)
{
	return (void *)(intptr_t)memory_remove(memory, 0, 1);
}

static void check_text(const char *text, const struct memory *memory)
{
	char want[512];

	snprintf(want, sizeof(want),
		 "[{\"base_host_virt_addr\":%" PRIuPTR ",\"size\":2097152,\"offset\":0,"
		 "\"page_size\":4096,\"page_size_kib\":4096},"
		 "{\"base_host_virt_addr\":%" PRIuPTR ",\"size\":1048576,\"offset\":2097152,"
		 "\"page_size\":4096,\"page_size_kib\":4096}]",
		 (uintptr_t)memory->regions[0].base, (uintptr_t)memory->regions[1].base);
	ck_assert_str_eq(text, want);
}

static void serve_fault(int uffd, void *page)
{
	unsigned char source[MEMORY_PAGE] = {42};
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page, .src = (uintptr_t)source, .len = MEMORY_PAGE};
	pthread_t thread;
	struct uffd_msg event;
	void *byte;

	ck_assert_int_eq(pthread_create(&thread, NULL, read_first_byte, page), 0);
	event = next_event(uffd);
	ck_assert_int_eq(event.event, UFFD_EVENT_PAGEFAULT);
	ck_assert_uint_eq(event.arg.pagefault.address & ~(uint64_t)(MEMORY_PAGE - 1),
			  (uintptr_t)page);
	ck_assert_int_eq(ioctl(uffd, UFFDIO_COPY, &copy), 0);
	pthread_join(thread, &byte);
	ck_assert_uint_eq((uintptr_t)byte, 42);
}

static void see_removal(int uffd, struct memory *memory)
{
	pthread_t thread;
	struct uffd_msg event;
	void *result;

	ck_assert_int_eq(pthread_create(&thread, NULL, remove_page, memory), 0);
	event = next_event(uffd);
	ck_assert_int_eq(event.event, UFFD_EVENT_REMOVE);
	ck_assert_uint_eq(event.arg.remove.start, (uintptr_t)memory->regions[0].base);
	pthread_join(thread, &result);
	ck_assert_ptr_null(result);
}

START_TEST(handler_gets_regions_and_events)
{
	AUTO_CLOSE int listener = start_listening();
	AUTO_CLOSE int sock = -1;
	AUTO_CLOSE int uffd = -1;
	char text[1024];
	char byte;
	struct memory memory;
	struct handover handover;
	int r;

	ck_assert_int_eq(memory_init(&memory, 3 * MIB, 2 * MIB, NULL), 0);
	r = handover_start(&handover, &memory, path);
	unlink(path);
	if (r == -EPERM)
		return; /* no userfaultfd for who is not root */
	ck_assert_int_eq(r, 0);
	sock = accept(listener, NULL, NULL);
	ck_assert_int_ge(sock, 0);
	uffd = receive(sock, text, sizeof(text));
	check_text(text, &memory);
	ck_assert_int_ne(fcntl(uffd, F_GETFL) & O_NONBLOCK, 0);
	serve_fault(uffd, memory.regions[0].base);
	serve_fault(uffd, memory.regions[1].base + MEMORY_PAGE);
	see_removal(uffd, &memory);

	/* the socket stays open, and silent, until the end */
	ck_assert_int_eq(recv(sock, &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	memory_done(&memory);
	handover_done(&handover);
	ck_assert_int_eq(recv(sock, &byte, 1, 0), 0);
}
END_TEST

UNIT_MAIN("vmm-handover", handler_gets_regions_and_events)
