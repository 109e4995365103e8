/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays of whoever connects and says the wrong thing, or nothing.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/hostile.h"

#define EXIT_LACKING 77
#define CONNECTIONS 1000
#define DRIP_NS (100 * NS_PER_MS)

/* ---- descriptors ---- */

static void hand_over_one(struct stage *stage, int fd)
{
	char *text = memory_text(&stage->memory, "1.12");

	stage->conn = memory_connect(stage->socket);
	memory_send(stage->conn, text, strlen(text), &fd, 1);
	free(text);
}

static void gives_an_eventfd(struct stage *stage)
{
	hand_over_one(stage, eventfd(0, EFD_CLOEXEC));
}

static void gives_an_epoll(struct stage *stage)
{
	hand_over_one(stage, epoll_create1(EPOLL_CLOEXEC));
}

static void gives_a_directory(struct stage *stage)
{
	hand_over_one(stage, open("/", O_PATH | O_CLOEXEC));
}

/* The handler's own way in. */
static void gives_a_socket(struct stage *stage)
{
	hand_over_one(stage, memory_connect(stage->socket));
}

static void gives_a_fuse_device(struct stage *stage)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(EXIT_LACKING, "/dev/fuse");
	hand_over_one(stage, fd);
}

/* As many as a message can have; userfaultfd: the last of them is one. */
static void give_as_many(struct stage *stage, bool userfaultfd)
{
	char *text = memory_text(&stage->memory, "1.12");
	int fds[SEND_MOST];

	for (size_t i = 0; i < SEND_MOST; i++)
		fds[i] = STDERR_FILENO;
	if (userfaultfd)
		fds[SEND_MOST - 1] = stage->memory.uffd;
	stage->conn = memory_connect(stage->socket);
	memory_send(stage->conn, text, strlen(text), fds, SEND_MOST);
	free(text);
}

static void gives_253_files(struct stage *stage)
{
	give_as_many(stage, false);
}

static void gives_253_with_a_userfaultfd(struct stage *stage)
{
	give_as_many(stage, true);
}

/* So much text first that the userfaultfd comes with another message. The handler
 * stands still while both are sent, so it has not hung up yet, and our last copy of
 * the userfaultfd is in its queue. */
static void gives_it_later(struct stage *stage)
{
	char *text = memory_text(&stage->memory, "1.12");
	static char blanks[8192];

	memset(blanks, ' ', sizeof(blanks));
	kill(stage->handler, SIGSTOP);
	stage->conn = memory_connect(stage->socket);
	memory_send(stage->conn, blanks, sizeof(blanks), NULL, 0);
	memory_send(stage->conn, text, strlen(text), &stage->memory.uffd, 1);
	close(stage->memory.uffd);
	kill(stage->handler, SIGCONT);
	free(text);
}

/* ---- text ---- */

static void hand_over_text(struct stage *stage)
{
	char text[1024];

	snprintf(text, sizeof(text), hostile_play->text, stage->size, stage->size);
	stage->conn = memory_connect(stage->socket);
	memory_send(stage->conn, text, strlen(text), &stage->memory.uffd, 1);
}

/* 1 GiB, if it were let. */
static void never_ends(struct stage *stage)
{
	static char blanks[1 << 20];

	memset(blanks, ' ', sizeof(blanks));
	stage->conn = memory_connect(stage->socket);
	memory_send(stage->conn, "[", 1, &stage->memory.uffd, 1);
	for (int i = 0; i < 1024; i++)
		if (send(stage->conn, blanks, sizeof(blanks), MSG_NOSIGNAL) < 0)
			return;
	errx(1, "1 GiB of text was taken");
}

static void nests_deeply(struct stage *stage)
{
	static char brackets[60000];

	memset(brackets, '[', sizeof(brackets) / 2);
	memset(brackets + sizeof(brackets) / 2, ']', sizeof(brackets) / 2);
	stage->conn = memory_connect(stage->socket);
	memory_send(stage->conn, brackets, 1, &stage->memory.uffd, 1);
	memory_send(stage->conn, brackets + 1, sizeof(brackets) - 1, NULL, 0);
}

/* A byte now and then: that there is progress does not count. */
static void drips(struct stage *stage)
{
	stage->conn = memory_connect(stage->socket);
	memory_send(stage->conn, "[", 1, &stage->memory.uffd, 1);
	close(stage->memory.uffd);
	while (send(stage->conn, " ", 1, MSG_NOSIGNAL) == 1)
		nanosleep(&(struct timespec){.tv_nsec = DRIP_NS}, NULL);
}

/* ---- connections ---- */

static void closes_one_half(struct stage *stage)
{
	stage->conn = memory_connect(stage->socket);
	shutdown(stage->conn, SHUT_WR);
}

static void closes_after_a_half(struct stage *stage)
{
	stage->conn = memory_connect(stage->socket);
	memory_send(stage->conn, "[{", 2, &stage->memory.uffd, 1);
	shutdown(stage->conn, SHUT_WR);
}

static void resets(struct stage *stage)
{
	hostile_hand_over(stage);
	close(stage->conn);
	hostile_compare(stage, 0, stage->memory.pages);
}

/* Silent ones, and then one that has something to say. */
static void connects_1000_times(struct stage *stage)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < CONNECTIONS + 64)
		err(EXIT_LACKING, "%ju descriptors", (uintmax_t)limit.rlim_cur);
	for (int i = 0; i < CONNECTIONS; i++)
		(void)memory_connect(stage->socket);
	hostile_hand_over(stage);
	hostile_compare(stage, 0, stage->memory.pages);
}

static void sends_credentials_first(struct stage *stage)
{
	char *text = memory_text(&stage->memory, "1.12");
	struct ucred cred = {.pid = getpid(), .uid = getuid(), .gid = getgid()};
	_Alignas(
		struct cmsghdr) char control[CMSG_SPACE(sizeof(cred)) + CMSG_SPACE(sizeof(int))] = {
		0};
	struct iovec iov = {.iov_base = text, .iov_len = strlen(text)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(cred));
	memcpy(CMSG_DATA(c), &cred, sizeof(cred));
	c = CMSG_NXTHDR(&msg, c);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &stage->memory.uffd, sizeof(int));
	stage->conn = memory_connect(stage->socket);
	if (sendmsg(stage->conn, &msg, MSG_NOSIGNAL) < 0)
		err(1, "sendmsg");
	free(text);
	hostile_compare(stage, 0, stage->memory.pages);
}

#define CLOSED(name_, log_, act_)                                                                  \
	{                                                                                          \
		PLAY(name_, FATE_CLOSED, log_, act_)                                               \
	}
#define KILLED(name_, log_, act_)                                                                  \
	{                                                                                          \
		PLAY(name_, FATE_KILLED, log_, act_)                                               \
	}
#define SERVED(name_, act_)                                                                        \
	{                                                                                          \
		PLAY(name_, FATE_SERVED, "machine-gone", act_)                                     \
	}
#define TEXT(name_, log_, text_)                                                                   \
	{                                                                                          \
		PLAY(name_, FATE_KILLED, log_, hand_over_text), .text = text_                      \
	}
#define BASE "\"base_host_virt_addr\":139637976727552"

const struct play hostile_socket_plays[] = {
	CLOSED("an eventfd", "0 of the 1 descriptors", gives_an_eventfd),
	CLOSED("an epoll", "0 of the 1 descriptors", gives_an_epoll),
	CLOSED("a directory", "0 of the 1 descriptors", gives_a_directory),
	CLOSED("a socket", "0 of the 1 descriptors", gives_a_socket),
	CLOSED("a FUSE device", "0 of the 1 descriptors", gives_a_fuse_device),
	CLOSED("253 files", "253 descriptors came", gives_253_files),
	KILLED("253 with a userfaultfd", "253 descriptors came", gives_253_with_a_userfaultfd),
	KILLED("a userfaultfd later", "0 of the 0 descriptors", gives_it_later),
	SERVED("credentials first", sends_credentials_first),
	TEXT("a key twice", "not JSON", "[{" BASE ",\"size\":%zu,\"offset\":0,\"offset\":0}]"),
	TEXT("2^64", "not JSON", "[{" BASE ",\"size\":18446744073709551616,\"offset\":0}]"),
	TEXT("2^63", "not JSON", "[{" BASE ",\"size\":9223372036854775808,\"offset\":0}]"),
	TEXT("1e3", "not a whole number", "[{" BASE ",\"size\":1e3,\"offset\":0}]"),
	TEXT("-1", "not a whole number", "[{" BASE ",\"size\":%zu,\"offset\":-1}]"),
	TEXT("NaN", "not JSON", "[{" BASE ",\"size\":NaN,\"offset\":0}]"),
	TEXT("1e999", "not JSON", "[{" BASE ",\"size\":1e999,\"offset\":0}]"),
	TEXT("a 0 character", "not JSON", "[{" BASE ",\"size\":%zu,\"offset\":0,\"\\u0000\":0}]"),
	TEXT("bad UTF-8", "not JSON", "[{" BASE ",\"size\":%zu,\"offset\":0,\"\xff\":0}]"),
	TEXT("no size", "region 0 has no size", "[{" BASE ",\"offset\":0}]"),
	TEXT("a size of 0", "is empty", "[{" BASE ",\"size\":0,\"offset\":0}]"),
	TEXT("an overlap in memory", "overlaps another one in memory",
	     "[{" BASE ",\"size\":4096,\"offset\":0},{" BASE ",\"size\":4190208,\"offset\":4096}]"),
	TEXT("an overlap in the image", "overlaps another one in the image",
	     "[{" BASE ",\"size\":%zu,\"offset\":0},"
	     "{\"base_host_virt_addr\":4096,\"size\":4096,\"offset\":4096}]"),
	TEXT("beyond the image", "leaves a gap", "[{" BASE ",\"size\":%zu,\"offset\":%zu}]"),
	TEXT("too long for the image", "reaches beyond the end",
	     "[{" BASE ",\"size\":2199023255552,\"offset\":0}]"),
	TEXT("around the end of memory", "address space",
	     "[{\"base_host_virt_addr\":9223372036854771712,\"size\":9223372036854771712,"
	     "\"offset\":0}]"),
	KILLED("a text without end", "longer than 65536", never_ends),
	KILLED("30000 brackets", "not JSON", nests_deeply),
	KILLED("a half and no more", "the text ends early", closes_after_a_half),
	CLOSED("one half closed", NULL, closes_one_half),
	SERVED("a connection closed at once", resets),
	SERVED("1000 connections", connects_1000_times),
	KILLED("a byte now and then", "did not come in time", drips),
	{.name = NULL},
};
