/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/uffd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fail.h"

#define ADDRESS_UNUSED 4096 /* below vm.mmap_min_addr */

static_assert(sizeof(struct uffd_msg) == UFFD_MESSAGE_BYTES, "the kernel's messages are 32 bytes");

ssize_t uffd_read(int uffd, void *messages, size_t room)
{
	ssize_t n;

	do {
		n = read(uffd, messages, room);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n / UFFD_MESSAGE_BYTES;
}

static enum uffd_kind fault_kind(uint64_t flags)
{
	return flags & ~(uint64_t)UFFD_PAGEFAULT_FLAG_WRITE ? UFFD_OTHER_FAULT : UFFD_FAULT;
}

struct uffd_event uffd_decode(const void *messages, size_t i)
{
	struct uffd_event event = {.kind = UFFD_OTHER, .fd = -1};
	struct uffd_msg msg;

	memcpy(&msg, (const char *)messages + i * UFFD_MESSAGE_BYTES, sizeof(msg));
	event.number = msg.event;
	switch (msg.event) {
	case 0:
		event.kind = UFFD_BLANK;
		break;
	case UFFD_EVENT_PAGEFAULT:
		event.kind = fault_kind(msg.arg.pagefault.flags);
		event.va = msg.arg.pagefault.address;
		break;
	case UFFD_EVENT_REMOVE:
		event.kind = UFFD_REMOVE;
		event.va = msg.arg.remove.start;
		event.end = msg.arg.remove.end;
		break;
	case UFFD_EVENT_FORK:
		event.fd = (int)msg.arg.fork.ufd;
		break;
	default:
		break;
	}
	return event;
}

/*
 * Sorts what COPY and ZEROPAGE answer. done is their result field: bytes when
 * positive, also beside EAGAIN, which then means "ended early" and not "later";
 * else an error number, or 0 on kernels before 6.15.
 */
static struct uffd_outcome outcome(int r, int err, int64_t done)
{
	if (r == 0 || (err == EAGAIN && done > 0))
		return (struct uffd_outcome){.result = UFFD_INSTALLED, .done = (uint64_t)done};
	switch (err) {
	case EEXIST:
		return (struct uffd_outcome){.result = UFFD_PRESENT};
	case EAGAIN:
		return (struct uffd_outcome){.result = UFFD_LATER};
	case ENOENT:
		return (struct uffd_outcome){.result = UFFD_UNMAPPED};
	case ESRCH:
		return (struct uffd_outcome){.result = UFFD_GONE};
	default:
		return (struct uffd_outcome){.result = UFFD_FAILED, .err = -err};
	}
}

struct uffd_outcome uffd_copy(int uffd, uint64_t va, const void *src, uint64_t len)
{
	struct uffdio_copy copy = {.dst = va, .src = (uintptr_t)src, .len = len};
	int r = ioctl(uffd, UFFDIO_COPY, &copy);

	return outcome(r, errno, copy.copy);
}

struct uffd_outcome uffd_zero(int uffd, uint64_t va, uint64_t len)
{
	struct uffdio_zeropage zero = {.range = {.start = va, .len = len}};
	int r = ioctl(uffd, UFFDIO_ZEROPAGE, &zero);

	return outcome(r, errno, zero.zeropage);
}

bool uffd_has_messages(int uffd)
{
	struct pollfd p = {.fd = uffd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

bool uffd_removal_pending(int uffd)
{
	/* no page can be installed there, but EAGAIN is what is looked for first */
	return uffd_zero(uffd, ADDRESS_UNUSED, 4096).result == UFFD_LATER;
}

int uffd_wake(int uffd, uint64_t va, uint64_t len)
{
	struct uffdio_range range = {.start = va, .len = len};

	return ioctl(uffd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}

int uffd_is_huge(int uffd, uint64_t va, uint64_t len, bool *ret)
{
	struct uffdio_register reg = {
		.range = {.start = va, .len = len},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(uffd, UFFDIO_REGISTER, &reg) < 0)
		return -errno;
	/* of hugetlb, and of nothing else, the kernel cannot make a page of zeros */
	*ret = !(reg.ioctls & (UINT64_C(1) << _UFFDIO_ZEROPAGE));
	return 0;
}

int uffd_unregister(int uffd, uint64_t va, uint64_t len)
{
	struct uffdio_range range = {.start = va, .len = len};

	return ioctl(uffd, UFFDIO_UNREGISTER, &range) < 0 ? -errno : 0;
}

bool uffd_is_one(int fd)
{
	static const char name[] = "anon_inode:[userfaultfd]";
	char link[sizeof("/proc/self/fd/") + 12];
	char target[sizeof(name) + 1];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target));
	if (n < 0) /* /proc has gone since we started, or is short of memory */
		return true;
	return n == (ssize_t)sizeof(name) - 1 && memcmp(target, name, sizeof(name) - 1) == 0;
}

int uffd_check_proc(void)
{
	if (access("/proc/self/fd", F_OK) == 0)
		return 0;
	return fail_with(-errno,
			 "/proc: %s: it says which descriptor is a userfaultfd; mount it first",
			 strerror(errno));
}

int uffd_prepare(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	/* not a blocking one any more: what poll can still complain of is this */
	if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLNVAL)))
		return fail_with(-EBADMSG, "the userfaultfd was never set up with UFFDIO_API");
	return 0;
}
