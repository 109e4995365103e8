/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write transactions: all of them, of all processes, one at a time.
 *
 * Private to db/. transaction_begin takes the writer lock; commit or abort lets
 * it go. Held in an AUTO local, a transaction that was not committed is aborted:
 *
 *	AUTO(transaction_end_at) struct index *open = NULL;
 *
 *	r = transaction_begin(index, TRANSACTION_CATALOG, &open);
 *	...
 *	return r < 0 ? r : transaction_commit(&open);
 */
#ifndef PAGODA_DB_TRANSACTION_H
#define PAGODA_DB_TRANSACTION_H

#include "base/attributes.h"
#include "db/index.h"

enum transaction_kind {
	/* A step of a longer job: ordered, but not durable by itself. */
	TRANSACTION_STEP,
	/* A step that is durable when commit returns: pages of a draft that were synced. */
	TRANSACTION_DURABLE,
	/* Changes what exists: durable when commit returns, counted in generation. */
	TRANSACTION_CATALOG,
};

/* *ret_open is index, or NULL on failure. -EBUSY, -EROFS, errors of SQLite. */
int transaction_begin(struct index *index, enum transaction_kind kind,
		      struct index **ret_open) MUST_CHECK;

/* Commits, checkpoints where it is time, lets the lock go and clears *open. On
 * failure nothing of the transaction remains. */
int transaction_commit(struct index **open) MUST_CHECK;

/* Rolls back, unless *open is NULL. */
void transaction_end_at(struct index **open);

#endif
