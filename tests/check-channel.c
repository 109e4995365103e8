/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel between the keeper and a worker, which may send anything.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handler/channel.h"
#include "handler/pass.h"
#include "tests/unit.h"

static int keeper;
static int worker;

static void fresh(void)
{
	int ends[2];

	ck_assert_int_eq(channel_new(ends), 0);
	keeper = ends[0];
	worker = ends[1];
}

static size_t count_open(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* One message with n copies of its own end. */
static void give(const void *bytes, size_t len, size_t n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c = (struct cmsghdr *)control;

	msg.msg_control = control;
	msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &worker, sizeof(int));
	ck_assert_int_eq(sendmsg(worker, &msg, 0), (ssize_t)len);
}

START_TEST(a_message_brings_a_descriptor_or_none)
{
	struct channel_message got;
	struct stat ours;
	struct stat theirs;

	fresh();
	ck_assert_int_eq(channel_receive(worker, &got), -EAGAIN);
	ck_assert_int_eq(channel_send(keeper, &(struct channel_message){CHANNEL_FILE, 7, keeper}),
			 0);
	ck_assert_int_eq(channel_send(keeper, &(struct channel_message){CHANNEL_CHANGED, 8, -1}),
			 0);
	ck_assert_int_eq(channel_receive(worker, &got), 1);
	ck_assert_uint_eq(got.kind, CHANNEL_FILE);
	ck_assert_uint_eq(got.generation, 7);
	ck_assert_int_eq(fstat(keeper, &ours), 0);
	ck_assert_int_eq(fstat(got.fd, &theirs), 0);
	ck_assert_uint_eq(ours.st_ino, theirs.st_ino);
	close(got.fd);
	ck_assert_int_eq(channel_receive(worker, &got), 1);
	ck_assert_uint_eq(got.generation, 8);
	ck_assert_int_eq(got.fd, -1);
	close(keeper);
	ck_assert_int_eq(channel_receive(worker, &got), 0);
	ck_assert_int_eq(channel_send(worker, &(struct channel_message){CHANNEL_LOST, 0, -1}),
			 -EPIPE);
}
END_TEST

/* However many descriptors are sent, who receives holds the one it knows of. */
START_TEST(no_descriptor_comes_unseen)
{
	uint32_t words[2] = {CHANNEL_LOST, 0};
	size_t before;

	fresh();
	before = count_open();
	for (size_t n = 1; n <= 8; n++) {
		struct channel_message got;

		give(words, sizeof(words), n);
		ck_assert_int_eq(channel_receive(keeper, &got), 1);
		ck_assert_int_ge(got.fd, 0);
		close(got.fd);
		ck_assert_uint_eq(count_open(), before);
	}
}
END_TEST

START_TEST(a_queue_that_nobody_reads_is_full_at_some_time)
{
	struct channel_message message = {CHANNEL_LOST, 0, -1};
	int sent = 0;
	int r;

	fresh();
	while ((r = channel_send(worker, &message)) == 0)
		sent++;
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_int_gt(sent, 2);
}
END_TEST

UNIT_MAIN("channel", a_message_brings_a_descriptor_or_none, no_descriptor_comes_unseen,
	  a_queue_that_nobody_reads_is_full_at_some_time)
