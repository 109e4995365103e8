/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: requests of who runs the machines, one JSON object a line,
 * and one line of JSON for an answer, in their order.
 *
 * Only the socket and its lines: what a request means is the keeper's business
 * (handler/requests.h). A client that does not read its answers is asked for no more
 * requests, one that sends many at once gets a few answers a turn, and one too many makes
 * the oldest go. The end of what it sends ends a line, too. Nothing here waits; one
 * thread.
 */
#ifndef PAGODA_HANDLER_CONTROL_H
#define PAGODA_HANDLER_CONTROL_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define CONTROL_CLIENTS 16
#define CONTROL_LINE_MOST 4096 /* bytes of a request */
#define CONTROL_TURN_MOST 4    /* requests of a client in one turn */
#define CONTROL_WATCHES (1 + CONTROL_CLIENTS)

struct control;

/* The answer to a line (len bytes, no newline): the caller's to free, with its newline.
 * NULL when out of memory: the client goes. */
typedef char *control_answer_fn(void *arg, const char *line, size_t len);

/* Listens on path (borrowed); fails like listener_open(). */
int control_open(const char *path, control_answer_fn *answer, void *arg,
		 struct control **ret) MUST_CHECK;

/* Takes NULL. */
void control_close(struct control *control);

/* What to poll; fd -1 where there is nothing. control may be NULL. */
void control_watch(const struct control *control, struct pollfd ret[CONTROL_WATCHES]);
void control_turn(struct control *control, const struct pollfd watched[CONTROL_WATCHES]);

/* When it wants a turn in any case, on the monotonic clock; UINT64_MAX: never. */
uint64_t control_deadline(const struct control *control);

#endif
