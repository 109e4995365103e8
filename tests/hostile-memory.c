/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays of machines that are served, and then do with their memory what a handler
 * must not take for granted.
 */
#include "config.h"

#include <err.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/hostile.h"

#define EXIT_LACKING 77
#define THREADS 4

static size_t half(const struct stage *stage)
{
	return stage->memory.region_pages;
}

static size_t region_len(const struct stage *stage)
{
	return half(stage) * stage->memory.unit;
}

/* The first region is said to be of huge pages. Nobody could ever fill it: the rest of
 * what would be one page is asked for again and again. */
static void calls_small_pages_huge(struct stage *stage)
{
	struct handover_setup setup = {
		.socket = stage->socket, .generation = "1.12", .send = "uffd"};
	char text[512];

	snprintf(text, sizeof(text),
		 "[{\"base_host_virt_addr\":%ju,\"size\":%zu,\"offset\":0,\"page_size\":2097152},"
		 "{\"base_host_virt_addr\":%ju,\"size\":%zu,\"offset\":%zu}]",
		 (uintmax_t)(uintptr_t)stage->memory.starts[0], region_len(stage),
		 (uintmax_t)(uintptr_t)stage->memory.starts[1], region_len(stage),
		 region_len(stage));
	setup.text = text;
	stage->conn = memory_hand_over(&stage->memory, &setup);
}

static void forks(struct stage *stage)
{
	hostile_hand_over(stage);
	hostile_compare(stage, 0, 1);
	if (fork() == 0)
		_exit(0);
}

static void remaps(struct stage *stage)
{
	void *place = mmap(NULL, region_len(stage), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	hostile_hand_over(stage);
	hostile_compare(stage, 0, 1);
	stage->memory.starts[0] = mremap(stage->memory.starts[0], region_len(stage),
					 region_len(stage), MREMAP_MAYMOVE | MREMAP_FIXED, place);
	if (place == MAP_FAILED || stage->memory.starts[0] == MAP_FAILED)
		err(1, "mremap");
}

static void unmaps(struct stage *stage)
{
	hostile_hand_over(stage);
	hostile_compare(stage, 0, half(stage));
	munmap(stage->memory.starts[1], region_len(stage));
	stage->memory.pages = half(stage);
}

/* Without asking for events: faults that are under way find nothing to install to. */
static void unmaps_quietly(struct stage *stage)
{
	hostile_hand_over(stage);
	hostile_compare(stage, half(stage), half(stage) / 2);
	munmap(stage->memory.starts[1], region_len(stage));
	hostile_compare(stage, 0, half(stage));
}

static void protects(struct stage *stage)
{
	struct uffdio_writeprotect wp = {
		.range = {.start = (uintptr_t)stage->memory.starts[0], .len = stage->memory.unit},
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	hostile_hand_over(stage);
	hostile_compare(stage, 0, 1);
	if (ioctl(stage->memory.uffd, UFFDIO_WRITEPROTECT, &wp) < 0)
		err(EXIT_LACKING, "UFFDIO_WRITEPROTECT");
	*(volatile unsigned char *)stage->memory.starts[0] = 1;
	errx(1, "a protected page could be written");
}

/* Memory of a file that has its pages already: the fault is a minor one. */
static void faults_minor(struct stage *stage)
{
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)stage->memory.starts[0], .len = region_len(stage)},
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR,
	};
	int fd = memfd_create("memory", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)region_len(stage)) < 0 || pwrite(fd, "x", 1, 0) != 1 ||
	    mmap(stage->memory.starts[0], region_len(stage), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		err(1, "memfd");
	if (ioctl(stage->memory.uffd, UFFDIO_REGISTER, &reg) < 0)
		err(EXIT_LACKING, "UFFDIO_REGISTER");
	hostile_hand_over(stage);
	(void)*(volatile unsigned char *)stage->memory.starts[0];
	errx(1, "a minor fault was answered");
}

static void touches_a_stray_page(struct stage *stage)
{
	volatile unsigned char *stray = memory_stray_page(&stage->memory);

	hostile_hand_over(stage);
	hostile_compare(stage, 0, 1);
	errx(1, "the stray page holds %d", *stray);
}

static void compares_all(struct stage *stage)
{
	hostile_hand_over(stage);
	hostile_compare(stage, 0, stage->memory.pages);
}

/* Whose removals are not told: the handler cannot know, and nothing may stick. */
static void removes_untold(struct stage *stage)
{
	hostile_hand_over(stage);
	hostile_compare(stage, 0, half(stage));
	if (madvise(stage->memory.starts[0], region_len(stage), MADV_DONTNEED) < 0)
		err(1, "madvise");
	hostile_compare(stage, 0, stage->memory.pages);
}

static void *touch_all(void *arg)
{
	const struct stage *stage = arg;

	for (;;)
		for (size_t i = 0; i < stage->memory.pages; i++) {
			(void)*(volatile unsigned char *)memory_page(&stage->memory, i);
			madvise(memory_page(&stage->memory, i), 1, MADV_DONTNEED);
		}
	return NULL;
}

/* With faults and removals on their way. */
static void dies_in_full_swing(struct stage *stage)
{
	pthread_t thread;

	hostile_hand_over(stage);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, touch_all, stage) != 0)
			errx(1, "pthread_create");
	(void)*(volatile unsigned char *)memory_page(&stage->memory, stage->memory.pages - 1);
	raise(SIGKILL);
}

static int descriptor_receive(int conn)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char c;
	struct iovec iov = {.iov_base = &c, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(conn, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		err(1, "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Hands over the userfaultfd of another process, which has ended. */
static void speaks_for_the_dead(struct stage *stage)
{
	int pair[2];
	pid_t other;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		err(1, "socketpair");
	other = fork();
	if (other == 0) {
		struct memory_setup setup = {.size = stage->size, .regions = 2};

		memory_map(&stage->memory, &setup);
		memory_send(pair[1], "x", 1, &stage->memory.uffd, 1);
		_exit(0);
	}
	close(stage->memory.uffd);
	stage->memory.uffd = descriptor_receive(pair[0]);
	waitpid(other, NULL, 0);
	hostile_hand_over(stage);
}

#define ENDS(name_, log_, act_, ...)                                                               \
	{                                                                                          \
		PLAY(name_, FATE_KILLED, log_, act_), .setup = { __VA_ARGS__ }                     \
	}
#define SERVED(name_, act_, ...)                                                                   \
	{                                                                                          \
		PLAY(name_, FATE_SERVED, "machine-gone", act_), .setup = { __VA_ARGS__ }           \
	}

const struct play hostile_memory_plays[] = {
	ENDS("forks", "unexpected-event: event 0x13", forks, .features = UFFD_FEATURE_EVENT_FORK),
	ENDS("remaps", "unexpected-event: event 0x14", remaps,
	     .features = UFFD_FEATURE_EVENT_REMAP),
	ENDS("unmaps", "unexpected-event: event 0x16", unmaps,
	     .features = UFFD_FEATURE_EVENT_UNMAP),
	SERVED("unmaps quietly", unmaps_quietly, 0),
	ENDS("write-protects", "unexpected-event: a write-protect", protects,
	     .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP, .mode = UFFDIO_REGISTER_MODE_WP),
	ENDS("minor fault", "unexpected-event: a write-protect or minor", faults_minor,
	     .features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM),
	ENDS("stray page", "fault-outside-regions", touches_a_stray_page, 0),
	ENDS("calls small pages huge", "has no pages of 2097152 bytes", calls_small_pages_huge, 0),
	SERVED("user mode only", compares_all, .user_only = true),
	SERVED("blocking", compares_all, .blocking = true),
	SERVED("removes untold", removes_untold, .silent = true),
	{PLAY("dies in full swing", FATE_DIES, "machine-gone", dies_in_full_swing)},
	SERVED("speaks for the dead", speaks_for_the_dead, 0),
	{.name = NULL},
};
