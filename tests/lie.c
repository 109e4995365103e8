/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lie PID N: in the place of a worker, which is stopped, says to its keeper N times that the
 * source is lost, each time when the last one was answered. Prints how many milliseconds
 * that took.
 *
 * lie PID twice | end | unknown: says it twice in a row; that it has ended, which it has
 * not; a number that means nothing. Exit code 77: not allowed.
 */
#include "config.h"

#include <err.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "handler/channel.h"

#define FDS_MOST 64

/* Its only socket of that kind. */
static int channel_of(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int channel = -1;

	for (int i = 3; pidfd >= 0 && i < FDS_MOST; i++) {
		int fd = (int)syscall(SYS_pidfd_getfd, pidfd, i, 0);
		socklen_t len = sizeof(int);
		int type = 0;

		if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
		    type == SOCK_SEQPACKET) {
			if (channel >= 0)
				errx(1, "process %d has more channels than one", (int)pid);
			channel = fd;
		} else if (fd >= 0) {
			close(fd);
		}
	}
	if (channel < 0)
		err(77, "the channel of process %d", (int)pid);
	return channel;
}

static void say(int channel, uint32_t kind, uint32_t generation)
{
	struct channel_message message = {.kind = kind, .generation = generation, .fd = -1};

	if (channel_send(channel, &message) < 0)
		errx(1, "the keeper cannot be told");
}

static uint32_t hear(int channel)
{
	struct pollfd p = {.fd = channel, .events = POLLIN};
	struct channel_message message;

	if (poll(&p, 1, 60000) != 1)
		errx(1, "the keeper does not answer");
	if (channel_receive(channel, &message) != 1)
		errx(1, "the keeper has closed the channel");
	if (message.kind != CHANNEL_FILE)
		errx(1, "the keeper gives no file but %" PRIu32, message.kind);
	close(message.fd);
	return message.generation;
}

static void lose(int channel, long times)
{
	uint64_t since = clock_monotonic_ns();
	uint32_t generation = 0;

	for (long i = 0; i < times; i++) {
		say(channel, CHANNEL_LOST, generation);
		generation = hear(channel);
	}
	printf("%" PRIu64 "\n", (clock_monotonic_ns() - since) / NS_PER_MS);
}

int main(int argc, char **argv)
{
	pid_t pid = argc == 3 ? (pid_t)atol(argv[1]) : 0;
	const char *what = argc == 3 ? argv[2] : "";
	int channel;

	if (pid <= 0)
		errx(2, "usage: lie PID N|twice|end|unknown");
	channel = channel_of(pid);
	if (strcmp(what, "end") == 0) {
		say(channel, CHANNEL_ENDED, 0);
	} else if (strcmp(what, "unknown") == 0) {
		say(channel, 77, 0);
	} else if (strcmp(what, "twice") == 0) {
		say(channel, CHANNEL_LOST, 0);
		say(channel, CHANNEL_LOST, 0);
	} else {
		lose(channel, atol(what));
	}
	return 0;
}
