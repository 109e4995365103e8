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

struct fuse_session;
struct notifier;

/* Main thread. session is borrowed, and outlives it. -errno with words. */
int notifier_start(struct fuse_session *session, struct notifier **ret) MUST_CHECK;

/* Main thread: once the session has ended, which ends calls that wait. */
void notifier_close(struct notifier *notifier);
DEFINE_AUTO(struct notifier *, notifier_close)

/* Drops all cached pages of node number. Returns when it is done, or after wait_ms: it
 * is then still done, but later. One thread at a time. */
void notifier_drop(struct notifier *notifier, uint64_t number, unsigned int wait_ms);

#endif
