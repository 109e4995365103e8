/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket that machines connect to, as a name in a directory.
 *
 * A dead socket (nobody listens: connect() says ECONNREFUSED) is taken over;
 * nothing else is ever unlinked. Handlers that look, unlink and bind in one
 * directory do so one at a time, under a lock on the directory, so that none
 * removes what another has just made. One thread.
 */
#ifndef PAGODA_HANDLER_LISTENER_H
#define PAGODA_HANDLER_LISTENER_H

#include "base/attributes.h"
#include "base/cleanup.h"

struct listener;

/* Listens on path (borrowed), mode 0600. With fail_with() text:
 * -ENAMETOOLONG  more than 107 bytes
 * -EADDRINUSE    someone listens there
 * -EBUSY         the directory stays locked
 * -EEXIST        there is something else than a socket
 * or the -errno of open(2), socket(2), bind(2), ... */
int listener_open(const char *path, struct listener **ret) MUST_CHECK;

/* From now on connect() is refused; who has connected can still be accepted, until
 * listener_accept() says -EINVAL. */
void listener_shut(struct listener *listener);

/* Unlinks the socket where it is still ours and the directory is not locked by
 * someone else; a socket that stays is dead and will be taken over. Takes NULL. */
void listener_close(struct listener *listener);

DEFINE_AUTO(struct listener *, listener_close)
#define AUTO_LISTENER AUTO(listener_close_at)

int listener_fd(const struct listener *listener);
const char *listener_path(const struct listener *listener);

/* The next connection, non-blocking, owned by who asks; or -errno of accept4(2). */
int listener_accept(const struct listener *listener) MUST_CHECK;

#endif
