/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that tells the kernel to drop pages it has cached.
 *
 * The kernel does so within the call, and for that may wait for pages that are being
 * read or written by requests of this very daemon. So no thread that answers requests
 * calls it, and who wants it done waits for a bounded time.
 */
#ifndef PAGODA_FUSEFS_NOTIFIER_H
#define PAGODA_FUSEFS_NOTIFIER_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"

struct draft;
struct fuse_session;
struct notifier;
struct view;

/* Main thread. session and view are borrowed, and outlive it. -errno with words. */
int notifier_start(struct fuse_session *session, struct view *view,
		   struct notifier **ret) MUST_CHECK;

/* Main thread: once the session has ended, which ends calls that wait, and before
 * view->storing goes. What is asked for later is not done: no kernel is left. */
void notifier_stop(struct notifier *notifier);

/* Main thread: after notifier_stop, and the last who asks. */
void notifier_close(struct notifier *notifier);
DEFINE_AUTO(struct notifier *, notifier_close)

/* Drops all cached pages of node number. Returns when it is done, or after wait_ms: it
 * is then still done, but later. One thread at a time. */
void notifier_drop(struct notifier *notifier, uint64_t number, unsigned int wait_ms);

/* Drops the cached pages of len bytes at off, which were to be written and were not, and
 * then lets draft go: takes over that handle of a writer. Any thread, does not wait. */
void notifier_lose(struct notifier *notifier, uint64_t number, uint64_t off, uint64_t len,
		   struct draft *draft);

#endif
