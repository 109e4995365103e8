/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "handler/listener.h"

#define ACCEPT_PAUSE_NS (100 * NS_PER_MS)

struct client {
	int fd; /* owned; -1: nobody */
	uint64_t number;
	char line[CONTROL_LINE_MOST + 1]; /* and its newline */
	size_t line_len;
	char *answer; /* owned; NULL: none is on its way */
	size_t answer_len;
	size_t answer_off;
	bool last;  /* it goes when its answer is out */
	bool ended; /* it sends no more */
	bool more;  /* what it has sent may hold a line that had no turn yet */
};

struct control {
	struct listener *listener; /* owned */
	control_answer_fn *answer;
	void *arg; /* borrowed */
	uint64_t accepted;
	uint64_t accept_ns; /* not to accept before this */
	struct client clients[CONTROL_CLIENTS];
};

DEFINE_AUTO(struct control *, control_close)

int control_open(const char *path, control_answer_fn *answer, void *arg, struct control **ret)
{
	AUTO(control_close_at) struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return -ENOMEM;
	control->answer = answer;
	control->arg = arg;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		control->clients[i].fd = -1;
	r = listener_open(path, &control->listener);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(control);
	return 0;
}

static void client_drop(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	free(client->answer);
	*client = (struct client){.fd = -1};
}

void control_close(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		client_drop(&control->clients[i]);
	listener_close(control->listener);
	free(control);
}

static bool accepts(const struct control *control)
{
	return clock_monotonic_ns() >= control->accept_ns;
}

void control_watch(const struct control *control, struct pollfd ret[CONTROL_WATCHES])
{
	for (size_t i = 0; i < CONTROL_WATCHES; i++)
		ret[i] = (struct pollfd){.fd = -1};
	if (!control)
		return;
	ret[0].fd = accepts(control) ? listener_fd(control->listener) : -1;
	ret[0].events = POLLIN;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		const struct client *client = &control->clients[i];

		ret[1 + i].fd = client->fd;
		ret[1 + i].events = client->answer ? POLLOUT : POLLIN;
	}
}

uint64_t control_deadline(const struct control *control)
{
	for (size_t i = 0; control && i < CONTROL_CLIENTS; i++)
		if (control->clients[i].more)
			return 0;
	return control && !accepts(control) ? control->accept_ns : UINT64_MAX;
}

/* A free place, or that of the oldest. */
static struct client *place(struct control *control)
{
	struct client *best = &control->clients[0];

	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *client = &control->clients[i];

		if (client->fd < 0)
			return client;
		if (client->number < best->number)
			best = client;
	}
	client_drop(best);
	return best;
}

static void accept_one(struct control *control)
{
	int fd = listener_accept(control->listener);
	struct client *client;

	if (fd < 0) {
		/* it stays readable while there are no descriptors: do not spin on it */
		control->accept_ns = clock_monotonic_ns() + ACCEPT_PAUSE_NS;
		return;
	}
	client = place(control);
	client->fd = fd;
	client->number = ++control->accepted;
}

/* Makes the answer to the first whole line; false: there is none, or the client has
 * gone. */
static bool line_take(struct control *control, struct client *client)
{
	char *end = memchr(client->line, '\n', client->line_len);
	size_t len;

	if (!end && client->line_len < sizeof(client->line) &&
	    (!client->ended || client->line_len == 0))
		return false;
	client->last = !end; /* too long: where its next line begins cannot be known */
	len = end ? (size_t)(end - client->line) : client->line_len;
	client->answer = control->answer(control->arg, client->line, len);
	if (!client->answer) {
		client_drop(client);
		return false;
	}
	client->answer_len = strlen(client->answer);
	client->answer_off = 0;
	len += end ? 1 : 0;
	memmove(client->line, client->line + len, client->line_len - len);
	client->line_len -= len;
	return true;
}

/* false: some of it has to wait, or the client has gone. */
static bool answer_send(struct client *client)
{
	ssize_t n = send(client->fd, client->answer + client->answer_off,
			 client->answer_len - client->answer_off, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		client_drop(client);
		return false;
	}
	client->answer_off += n > 0 ? (size_t)n : 0;
	if (client->answer_off < client->answer_len)
		return false;
	free(client->answer);
	client->answer = NULL;
	if (client->last)
		client_drop(client);
	return !client->last;
}

/* false: it has gone. */
static bool line_receive(struct client *client)
{
	ssize_t n = recv(client->fd, client->line + client->line_len,
			 sizeof(client->line) - client->line_len, MSG_DONTWAIT);

	if (n == 0 && client->line_len > 0) {
		client->ended = true;
		return true;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		client_drop(client);
		return false;
	}
	client->line_len += n > 0 ? (size_t)n : 0;
	return true;
}

/* Answers a few of the lines that it has sent, if it takes the answers. */
static void client_turn(struct control *control, struct client *client)
{
	bool more = true;
	int taken = 0;

	if (client->answer)
		more = answer_send(client);
	else if (!client->more)
		more = line_receive(client);
	for (; more && taken < CONTROL_TURN_MOST && line_take(control, client); taken++)
		more = answer_send(client);
	client->more = more && taken == CONTROL_TURN_MOST;
}

void control_turn(struct control *control, const struct pollfd watched[CONTROL_WATCHES])
{
	if (!control)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *client = &control->clients[i];

		if (client->fd >= 0 && (watched[1 + i].revents || client->more))
			client_turn(control, client);
	}
	if (watched[0].revents)
		accept_one(control);
}
