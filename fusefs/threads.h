/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that answer the kernel.
 *
 * A fixed number, each with an index, pages and a reply buffer of its own, all
 * reading from the one FUSE descriptor. They end when the file system is let go
 * of. Reads wait for the store in them, nothing else does: no thread here ever
 * touches the mount, which could only be answered by one of them.
 *
 * Functions return 0 or -errno with words and belong to the main thread, except
 * for threads_current.
 */
#ifndef PAGODA_FUSEFS_THREADS_H
#define PAGODA_FUSEFS_THREADS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/index.h"
#include "db/pages.h"
#include "db/store.h"

struct fuse_session;

#define THREADS_REPLY_BYTES (1U << 20) /* the largest read the kernel may ask for */

/* What a thread answers with; used by that thread alone. */
struct worker {
	struct index *index; /* owned */
	struct pages *pages; /* owned, before index */
	char *reply;	     /* owned, THREADS_REPLY_BYTES */
};

struct threads;

/* Opens what each thread needs; starts none. store is borrowed and outlives them.
 * spin is how long they look for the next request: as of spin_init. */
int threads_open(struct store *store, uint64_t spin, struct threads **ret) MUST_CHECK;

/* Answers the first request of a new session, FUSE_INIT, on the calling thread:
 * after it the view answers. session is borrowed. */
int threads_greet(struct fuse_session *session) MUST_CHECK;

/* Starts them on the session, which is borrowed and outlives them. Signals that
 * the caller has blocked stay blocked in them. */
int threads_start(struct threads *threads, struct fuse_session *session) MUST_CHECK;

/* Readable whenever a thread ended. */
int threads_fd(const struct threads *threads);

/* How many threads still run; *ret_error is the first failure, or 0. Empties
 * threads_fd. */
size_t threads_running(struct threads *threads, int *ret_error);

/* All threads have ended, or none was started. */
void threads_close(struct threads *threads);
DEFINE_AUTO(struct threads *, threads_close)

/* The worker of the calling thread; not before threads_start. */
struct worker *threads_current(void);

#endif
