/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message and a descriptor over a socket of packets, between processes of ours.
 * Nothing waits but pass_send on a blocking socket. Any thread.
 */
#ifndef PAGODA_HANDLER_PASS_H
#define PAGODA_HANDLER_PASS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/attributes.h"

/* Sends len bytes, and with them fd where it is not -1; it stays the caller's. -errno
 * of sendmsg(2): -EPIPE where nobody is there, -EAGAIN where nobody reads. */
int pass_send(int socket, const void *bytes, size_t len, int fd) MUST_CHECK;

/* Returns the length of the message (at most len bytes of it are taken), 0 at the end,
 * or -errno of recvmsg(2): -EAGAIN where there is none. *ret_fd is owned by who asks, -1
 * where none came. */
ssize_t pass_receive(int socket, void *bytes, size_t len, int *ret_fd) MUST_CHECK;

#endif
