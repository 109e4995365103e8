/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a doomed pack is safe to drop although its rows go in several steps: in the
 * transaction that dooms it, no extent but those being discarded refers to a page
 * in it. Nobody can begin to: an import, inside its own transaction, shares only
 * pages of packs that are not doomed. And no sealed snapshot can be opened that
 * needs it, as none refers to it.
 */
#include "config.h"

#include "db/discard.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "db/lock.h"
#include "db/pack.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

#define STEP_ROWS 4096 /* some 20 ms */

static int run_with_id(struct index *index, const char *sql, uint64_t id)
{
	AUTO_RESET sqlite3_stmt *statement = NULL;
	int r = sql_get(index, sql, &statement);

	if (r < 0)
		return r;
	sql_bind(statement, 1, id);
	return sql_run(index, statement);
}

/* Does anyone else use a page of the packs this snapshot's import wrote? Runs
 * that end before the first row of those packs are passed over unread. */
static int is_shared(struct index *index, uint64_t id, bool *ret)
{
	static const char sql[] =
		"SELECT 1 FROM extent e JOIN page p ON p.id >= e.page AND p.id < e.page + e.count "
		"WHERE e.snapshot != ?1 AND e.page IS NOT NULL AND e.page + e.count > "
		"(SELECT min(first_page) FROM pack WHERE maker = ?1) "
		"AND p.pack IN (SELECT id FROM pack WHERE maker = ?1) LIMIT 1";
	int64_t one;
	int r = sql_number(index, sql, (int64_t)id, &one);

	*ret = r == 0;
	return r == -ENOENT ? 0 : r;
}

int discard_snapshot(struct index *index, uint64_t id)
{
	static const char *const steps[] = {
		"DELETE FROM attachment WHERE snapshot = ?1",
		"DELETE FROM pending WHERE snapshot = ?1",
		"DELETE FROM extent WHERE snapshot = ?1",
		"DELETE FROM snapshot WHERE id = ?1",
	};
	bool shared;
	int r = is_shared(index, id, &shared);

	if (r == 0 && !shared)
		r = run_with_id(index, "UPDATE pack SET doomed = 1 WHERE maker = ?1", id);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
		r = run_with_id(index, steps[i], id);
	return r;
}

/* An import that nobody leases: takes it out and says whether there may be more. */
static int discard_cut_off(struct index *index, uint64_t id)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct locks *locks = index_store(index)->locks;
	int64_t found;
	int r = locks_take_exclusive(locks, id, 0);

	if (r == -EBUSY)
		return 0; /* it lives */
	if (r < 0)
		return r;
	r = transaction_begin(index, TRANSACTION_CATALOG, &open);
	if (r == 0) /* it may have been sealed, or taken out, since it was listed */
		r = sql_number(index, "SELECT id FROM snapshot WHERE id = ?1 AND state = 0",
			       (int64_t)id, &found);
	if (r == 0)
		r = discard_snapshot(index, id);
	if (r == 0)
		r = transaction_commit(&open);
	locks_drop_lease(locks, id);
	return r == -ENOENT ? 0 : r;
}

static int discard_all_cut_off(struct index *index)
{
	static const char sql[] = "SELECT id FROM snapshot WHERE state = 0 AND id > ?1 ORDER BY id";
	uint64_t id = 0;
	int r;

	while ((r = sql_next(index, sql, &id)) == 0) {
		r = discard_cut_off(index, id);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/* Removes up to STEP_ROWS rows of the pack; *ret_left: there may be more. */
static int drop_rows(struct index *index, uint64_t pack, bool *ret_left)
{
	static const char drop[] =
		"DELETE FROM page WHERE id IN (SELECT id FROM page WHERE pack = ?1 AND id >= "
		"(SELECT first_page FROM pack WHERE id = ?1) ORDER BY id LIMIT ?2)";
	AUTO_RESET sqlite3_stmt *statement = NULL;
	int r = sql_get(index, drop, &statement);

	if (r < 0)
		return r;
	sql_bind(statement, 1, pack);
	sql_bind(statement, 2, STEP_ROWS);
	r = sql_run(index, statement);
	*ret_left = sqlite3_changes(index_db(index)) == STEP_ROWS;
	return r;
}

/* One step on the way of a doomed pack; the file goes with its last row, before
 * the row of the pack: so no file is ever left that the index does not know. */
static int drop_step(struct index *index, uint64_t pack, bool *ret_left)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	char path[PATH_MAX];
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = drop_rows(index, pack, ret_left);
	if (r == 0 && !*ret_left) {
		pack_path(index_store(index), (uint32_t)pack, path);
		if (unlink(path) < 0 && errno != ENOENT)
			r = fail_with(-errno, "removing pack %" PRIu64 ": %s", pack,
				      strerror(errno));
	}
	if (r == 0 && !*ret_left)
		r = run_with_id(index, "DELETE FROM pack WHERE id = ?1 AND doomed", pack);
	return r < 0 ? r : transaction_commit(&open);
}

static int drop_doomed(struct index *index)
{
	static const char sql[] = "SELECT id FROM pack WHERE doomed AND id > ?1 ORDER BY id";
	uint64_t pack = 0;
	int r;

	while ((r = sql_next(index, sql, &pack)) == 0) {
		bool left = true;

		while (r == 0 && left)
			r = drop_step(index, pack, &left);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

int discard_leftovers(struct index *index)
{
	int r = discard_all_cut_off(index);

	return r < 0 ? r : drop_doomed(index);
}
