/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a write transaction, all of it under the writer lock:
 *
 *   begin    writer lock, BEGIN IMMEDIATE
 *   commit   a CATALOG transaction counts itself in store.generation; COMMIT;
 *            then the file `generation`, so that the file never runs ahead of
 *            the index; then a checkpoint
 *   end      ROLLBACK
 *
 * A STEP commits with synchronous NORMAL: its pages wait in the log in order and
 * the next CATALOG commit, or a checkpoint, syncs them. A DURABLE one costs one
 * flush, of the log. Its checkpoints leave the log as long as it is: writing over
 * it is half as dear as making it longer.
 */
#include "config.h"

#include "db/transaction.h"

#include <errno.h>

#include "base/fail.h"
#include "base/log.h"
#include "db/generation.h"
#include "db/index-private.h"
#include "db/lock.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/wal.h"

#define WAL_PAGES_MAX 4096 /* 16 MiB of log, then a step checkpoints too */

static int count_generation(struct index *index)
{
	int64_t generation;
	int r = sql_do(index, "UPDATE store SET generation = generation + 1 WHERE id = 1");

	if (r == 0)
		r = sql_number(index, "SELECT generation FROM store WHERE id = 1", 0, &generation);
	if (r == 0)
		index->generation = (uint64_t)generation;
	return r;
}

static const char rollback_sql[] = "ROLLBACK";

/* Rolls back what is open and lets the lock go. */
static void end(struct index *index)
{
	sqlite3_stmt *rollback;

	/* after some errors SQLite has rolled back by itself */
	if (!sqlite3_get_autocommit(index->db) && sql_get(index, rollback_sql, &rollback) == 0) {
		sqlite3_step(rollback);
		sqlite3_reset(rollback);
	}
	locks_drop_writer(index->store->locks);
}

int transaction_begin(struct index *index, enum transaction_kind kind, struct index **ret_open)
{
	sqlite3_stmt *rollback;
	int r = locks_take_writer(index->store->locks);

	*ret_open = NULL;
	if (r < 0)
		return r;
	index->kind = kind;
	/* ready before it is needed: out of memory it could not be made */
	r = sql_get(index, rollback_sql, &rollback);
	if (r == 0)
		r = sql_do(index, kind == TRANSACTION_STEP ? "PRAGMA synchronous = NORMAL"
							   : "PRAGMA synchronous = FULL");
	if (r == 0)
		r = sql_do(index, "BEGIN IMMEDIATE");
	if (r < 0) { /* BEGIN may have failed when all but done */
		end(index);
		return r;
	}
	*ret_open = index;
	return 0;
}

/* After COMMIT, so nothing may fail any more: an index ahead of the file is in
 * order, only less well guarded until the next commit. */
static void write_generation(struct index *index)
{
	int r = generation_write(index->store->path, index->store->uuid, index->generation);

	if (r < 0)
		log_debug("%s", fail_text(r));
}

int transaction_commit(struct index **open)
{
	struct index *index = *open;
	int r = 0;

	if (index->kind == TRANSACTION_CATALOG)
		r = count_generation(index);
	if (r == 0)
		r = sql_do(index, "COMMIT");
	if (r < 0) {
		char text[FAIL_TEXT_MAX];

		fail_copy(r, text);
		transaction_end_at(open);
		return fail_with(r, "%s", text);
	}
	if (index->kind == TRANSACTION_CATALOG)
		write_generation(index);
	if (index->kind == TRANSACTION_CATALOG || index->wal_pages > WAL_PAGES_MAX)
		wal_checkpoint(index, index->kind == TRANSACTION_DURABLE
					      ? SQLITE_CHECKPOINT_PASSIVE
					      : SQLITE_CHECKPOINT_TRUNCATE);
	locks_drop_writer(index->store->locks);
	*open = NULL;
	return 0;
}

void transaction_end_at(struct index **open)
{
	if (*open)
		end(*open);
	*open = NULL;
}
