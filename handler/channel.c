/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/channel.h"

#include <errno.h>
#include <sys/socket.h>

#include "handler/pass.h"

int channel_new(int ret_ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_ends) < 0
		       ? -errno
		       : 0;
}

int channel_send(int end, const struct channel_message *message)
{
	uint32_t words[] = {message->kind, message->generation};

	return pass_send(end, words, sizeof(words), message->fd);
}

int channel_receive(int end, struct channel_message *ret)
{
	uint32_t words[2] = {0};
	int fd = -1;
	ssize_t n = pass_receive(end, words, sizeof(words), &fd);

	if (n <= 0)
		return (int)n;
	*ret = (struct channel_message){.kind = words[0], .generation = words[1], .fd = fd};
	return 1;
}
