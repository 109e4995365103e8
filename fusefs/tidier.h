/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects the garbage of drafts that rewrite themselves, in a thread of its own: it
 * reads all page rows of the store, and nothing else is to wait for that.
 */
#ifndef PAGODA_FUSEFS_TIDIER_H
#define PAGODA_FUSEFS_TIDIER_H

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/draft.h"
#include "db/store.h"

struct tidier;

/* Any -errno of index_open; of a thread that cannot be started, its errno. */
int tidier_start(struct store *store, struct drafts *drafts, struct tidier **ret) MUST_CHECK;

/* Any thread: looks, soon, whether a draft is untidy. Does not wait. */
void tidier_wake(struct tidier *tidier);

/* Does what was asked for before, and ends. */
void tidier_stop(struct tidier *tidier);
DEFINE_AUTO(struct tidier *, tidier_stop)

#endif
