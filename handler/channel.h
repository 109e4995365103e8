/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel between the keeper and one worker: messages of a few bytes on a
 * socket pair, none of which waits.
 *
 *   worker to keeper   LOST   the file of that generation answers no more
 *                      ENDED  the session is over, as shared memory says: the process
 *                             may take longer to end, with a thread in a system call
 *   keeper to worker   FILE   the source, opened again: a generation and a descriptor
 *                      CHANGED  it was opened again and is another image
 *
 * The keeper trusts nothing that comes. An end of file is the end of the other.
 */
#ifndef PAGODA_HANDLER_CHANNEL_H
#define PAGODA_HANDLER_CHANNEL_H

#include <stdint.h>

#include "base/attributes.h"

enum channel_kind {
	CHANNEL_LOST = 1,
	CHANNEL_ENDED,
	CHANNEL_FILE,
	CHANNEL_CHANGED,
};

struct channel_message {
	uint32_t kind; /* enum channel_kind, or any number where the sender lies */
	uint32_t generation;
	int fd; /* with FILE: owned by who receives; else -1 */
};

/* Both ends, non-blocking and close-on-exec. -errno of socketpair(2). */
int channel_new(int ret_ends[2]) MUST_CHECK;

/* -EAGAIN: the other end has not read the last ones. -EPIPE: it is gone. Else
 * -errno of sendmsg(2). The descriptor stays the caller's. */
int channel_send(int end, const struct channel_message *message) MUST_CHECK;

/* Returns 1 with a message, 0 at the end, -EAGAIN where none is there, or -errno of
 * recvmsg(2). */
int channel_receive(int end, struct channel_message *ret) MUST_CHECK;

#endif
