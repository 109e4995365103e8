/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread's connection to the index of a store.
 *
 * A struct index is used by one thread at a time. No read transaction outlives
 * a call of this library. Writing is for db/ itself: see db/transaction.h.
 */
#ifndef PAGODA_DB_INDEX_H
#define PAGODA_DB_INDEX_H

#include "base/attributes.h"
#include "base/cleanup.h"

struct index;
struct store;

/* store is borrowed and outlives the index. */
int index_open(struct store *store, struct index **ret_index) MUST_CHECK;
void index_close(struct index *index);
DEFINE_AUTO(struct index *, index_close)

/* For one of several connections that only look rows up: it keeps 256 KiB of index.db
 * in memory, not 2 MiB. That is most of the upper part of an index for 16 GiB of pages; the rows
 * have a cache of their own. */
int index_keep_little(struct index *index) MUST_CHECK;

struct store *index_store(const struct index *index);

/* Before what is read with this index may wait for the disk, or for a thread that does,
 * waits(arg) is called, on the same thread. Once for each wait, or more often. */
void index_on_wait(struct index *index, void (*waits)(void *arg), void *arg);

#endif
