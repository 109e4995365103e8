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

struct store *index_store(const struct index *index);

#endif
