/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine sends: who it is, its descriptors with the first bytes of the
 * text, and the rest of the text. Only receive_rest waits. One thread.
 */
#ifndef PAGODA_HANDLER_RECEIVE_H
#define PAGODA_HANDLER_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

#define RECEIVE_FDS_MOST 3   /* descriptors a hand-over may carry */
#define RECEIVE_FDS_ROOM 253 /* SCM_MAX_FD of the kernel: none can be lost unseen */

/*
 * The memory that came with a message. Who sent it may have kept no copy, and the
 * moment the last one is closed it reads zeros: whatever becomes of the message,
 * these stay open until its process has ended.
 */
struct received {
	int uffds[RECEIVE_FDS_ROOM]; /* owned */
	size_t n;
	bool cut; /* we had no room for all: what was lost may have been one */
};

/* Who called connect(): *ret_pidfd is owned by who asks. -errno of getsockopt(2)
 * or pidfd_open(2): -ESRCH where it has gone already. */
int receive_peer(int conn, pid_t *ret_pid, uid_t *ret_uid, int *ret_pidfd) MUST_CHECK;

/* Takes one message: its text (at most room bytes, *ret_len of them) and its
 * userfaultfds. All other descriptors are closed. -EAGAIN: not there yet.
 * -ENODATA: an end, or an empty message. -EBADMSG with text: not a hand-over; then
 * too the userfaultfds are in *ret, owned by who asks. Else -errno of recvmsg(2). */
int receive_first(int conn, char *text, size_t room, size_t *ret_len,
		  struct received *ret) MUST_CHECK;

/* Adds to text until it is complete (handover_scan), deadline_ns of the monotonic
 * clock at most. -EBADMSG with text, or -errno of recv(2) or poll(2). */
int receive_rest(int conn, char *text, size_t room, size_t *len, uint64_t deadline_ns) MUST_CHECK;

#endif
