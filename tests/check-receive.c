/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "handler/counters.h"
#include "handler/receive.h"
#include "handler/uffd.h"
#include "tests/unit.h"

#define SEND_MOST 253

static int ours;   /* where the handler reads */
static int theirs; /* where the machine writes */
static char text[256];
static size_t len;
static struct received received;

static void fresh(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	ours = pair[0];
	theirs = pair[1];
	len = 0;
	received = (struct received){.n = 0};
}

static size_t count_open(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void give(const char *bytes, const int *fds, size_t n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * SEND_MOST)] = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = strlen(bytes)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n > 0) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	ck_assert_int_eq(sendmsg(theirs, &msg, 0), (ssize_t)strlen(bytes));
}

static int receive(void)
{
	return receive_first(ours, text, sizeof(text), &len, &received);
}

static int uffd_new(void)
{
	return (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

START_TEST(takes_the_one_userfaultfd)
{
	int fds[3] = {0, uffd_new(), 2};
	int on = 1;
	size_t open_before;

	if (fds[1] < 0)
		return;
	fresh();
	/* credentials that come before them are no descriptors */
	setsockopt(ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	give("[]", fds, 3);
	open_before = count_open();
	ck_assert_int_eq(receive(), 0);
	ck_assert_uint_eq(len, 2);
	ck_assert_uint_eq(received.n, 1);
	ck_assert(!received.cut);
	ck_assert(uffd_is_one(received.uffds[0]));
	ck_assert_int_ne(fcntl(received.uffds[0], F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_uint_eq(count_open(), open_before + 1);
}
END_TEST

START_TEST(refuses_any_other_set)
{
	int fds[SEND_MOST];
	size_t open_before;

	fresh();
	open_before = count_open();
	give("[]", NULL, 0);
	ck_assert_int_eq(receive(), -EBADMSG);
	for (size_t i = 0; i < SEND_MOST; i++)
		fds[i] = 0;
	for (size_t n = 1; n <= SEND_MOST; n += n < 4 ? 1 : 83) {
		give("[]", fds, n);
		ck_assert_int_eq(receive(), -EBADMSG);
		ck_assert_uint_eq(count_open(), open_before);
		ck_assert_uint_eq(received.n, 0);
	}
}
END_TEST

/* What is no hand-over may still hold the last copy of someone's memory. */
START_TEST(keeps_the_userfaultfds_of_what_it_refuses)
{
	int fds[SEND_MOST];
	int one = uffd_new();

	if (one < 0)
		return;
	fresh();
	for (size_t i = 0; i < SEND_MOST; i++)
		fds[i] = i % 2 ? one : 0;
	for (size_t n = 4; n <= SEND_MOST; n += 83) {
		size_t open_before = count_open();

		give("[]", fds, n);
		ck_assert_int_eq(receive(), -EBADMSG);
		ck_assert_uint_eq(received.n, n / 2);
		ck_assert_uint_eq(count_open(), open_before + n / 2);
		while (received.n > 0) {
			ck_assert(uffd_is_one(received.uffds[--received.n]));
			close(received.uffds[received.n]);
		}
	}
}
END_TEST

/* Where we have no room for all of them, what was lost may have been the one that
 * matters; those that did fit are closed or kept as ever. */
START_TEST(tells_when_descriptors_were_cut_off)
{
	int fds[3] = {0, 1, uffd_new()};
	struct rlimit before;
	struct rlimit limit;
	size_t open_before;
	int next;

	if (fds[2] < 0)
		return;
	fresh();
	open_before = count_open();
	next = dup(0);
	close(next);
	getrlimit(RLIMIT_NOFILE, &before);
	limit = before;
	limit.rlim_cur = (rlim_t)next + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	give("[]", fds, 3);
	ck_assert_int_eq(receive(), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(fail_text(-EBADMSG), "could not be received"));
	ck_assert_uint_eq(count_open(), open_before);
	ck_assert_uint_eq(received.n, 0);
	ck_assert(received.cut);
	fds[0] = fds[2];
	give("[]", fds, 3);
	ck_assert_int_eq(receive(), -EBADMSG);
	ck_assert_uint_eq(received.n, 1);
	ck_assert(received.cut);
	/* LeakSanitizer opens files when the process ends */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

START_TEST(tells_nothing_from_an_end)
{
	fresh();
	ck_assert_int_eq(receive(), -EAGAIN);
	close(theirs);
	ck_assert_int_eq(receive(), -ENODATA);
}
END_TEST

static int rest(size_t room, unsigned int ms)
{
	return receive_rest(ours, text, room, &len, clock_monotonic_ns() + ms * NS_PER_MS);
}

static void *give_slowly(void *arg)
{
	for (const char *c = arg; *c; c++) {
		ck_assert_int_eq(write(theirs, c, 1), 1);
		sched_yield();
	}
	return NULL;
}

START_TEST(puts_a_text_in_pieces_together)
{
	static char pieces[] = "{\"a\":\"]\"},{}] ";
	pthread_t thread;

	fresh();
	text[0] = '[';
	len = 1;
	ck_assert_int_eq(pthread_create(&thread, NULL, give_slowly, pieces), 0);
	ck_assert_int_eq(rest(sizeof(text), 10000), 0);
	pthread_join(thread, NULL);
	ck_assert_int_ge((int)len, 14);
	ck_assert_int_eq(memcmp(text, "[{\"a\":\"]\"},{}]", 14), 0);
}
END_TEST

START_TEST(does_not_wait_for_a_text_without_end)
{
	fresh();
	text[0] = '[';
	len = 1;
	ck_assert_int_eq(rest(sizeof(text), 20), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(fail_text(-EBADMSG), "in time"));
	give("{{{{", NULL, 0);
	ck_assert_int_eq(rest(5, 10000), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(fail_text(-EBADMSG), "longer"));
	close(theirs);
	ck_assert_int_eq(rest(sizeof(text), 10000), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(fail_text(-EBADMSG), "ends early"));
}
END_TEST

START_TEST(knows_who_connected)
{
	pid_t pid;
	uid_t uid;
	int pidfd = -1;

	fresh();
	ck_assert_int_eq(receive_peer(ours, &pid, &uid, &pidfd), 0);
	ck_assert_int_eq(pid, getpid());
	ck_assert_uint_eq(uid, getuid());
	ck_assert_int_ge(pidfd, 0);
}
END_TEST

START_TEST(histograms_have_a_bucket_for_everything)
{
	ck_assert_uint_eq(counters_bucket(0, 4), 0);
	ck_assert_uint_eq(counters_bucket(1, 4), 0);
	ck_assert_uint_eq(counters_bucket(2, 4), 1);
	ck_assert_uint_eq(counters_bucket(3, 4), 2);
	ck_assert_uint_eq(counters_bucket(4, 4), 2);
	ck_assert_uint_eq(counters_bucket(5, 4), 3);
	ck_assert_uint_eq(counters_bucket(UINT64_MAX, 4), 3);
}
END_TEST

UNIT_MAIN("receive", takes_the_one_userfaultfd, refuses_any_other_set,
	  keeps_the_userfaultfds_of_what_it_refuses, tells_when_descriptors_were_cut_off,
	  tells_nothing_from_an_end, puts_a_text_in_pieces_together,
	  does_not_wait_for_a_text_without_end, knows_who_connected,
	  histograms_have_a_bucket_for_everything)
