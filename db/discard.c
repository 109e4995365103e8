/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack goes in three parts, so that the writer lock is held for moments only,
 * whatever the size of the store:
 *
 *   doom   in the transaction that takes the snapshot out: from then on no import
 *          shares a page of its packs (step.c, confirm_known)
 *   prove  without the lock: read all extents for one that needs a page of it. None
 *          can be added meanwhile. If there is one, the pack is kept after all
 *   drop   rows in steps, each of which sees that the pack is still doomed (another
 *          process may have kept it), then the file, then the row of the pack
 *
 * Being doomed is only a hint: a bit that says so by damage costs nothing, as
 * nothing is dropped without the proof.
 */
#include "config.h"

#include "db/discard.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/io.h"
#include "base/log.h"
#include "db/lock.h"
#include "db/pack.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

#ifndef STEP_IDS      /* tests make steps smaller */
#define STEP_IDS 8192 /* of page rows a step removes: some 20 ms */
#endif
#define SCAN_IDS 65536	 /* of page rows one statement looks at */
#define SCAN_EXTENTS 256 /* extents one statement lists */

/* The ids of the rows of a pack lie from first to last; 0 and 0: it has none. */
struct id_span {
	uint64_t first;
	uint64_t last;
};

static int run_with_id(struct index *index, const char *sql, uint64_t id)
{
	AUTO_RESET sqlite3_stmt *statement = NULL;
	int r = sql_get(index, sql, &statement);

	if (r < 0)
		return r;
	sql_bind(statement, 1, id);
	return sql_run(index, statement);
}

int discard_snapshot(struct index *index, uint64_t id)
{
	static const char *const steps[] = {
		"UPDATE pack SET doomed = 1 WHERE maker = ?1",
		"DELETE FROM attachment WHERE snapshot = ?1",
		"DELETE FROM pending WHERE snapshot = ?1",
		"DELETE FROM extent WHERE snapshot = ?1",
		"DELETE FROM snapshot WHERE id = ?1",
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
		r = run_with_id(index, steps[i], id);
	return r;
}

/* An import that nobody leases. */
static int discard_one_cut_off(struct index *index, uint64_t id)
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

int discard_cut_off(struct index *index)
{
	static const char sql[] = "SELECT id FROM snapshot WHERE state = 0 AND id > ?1 ORDER BY id";
	uint64_t id = 0;
	int r;

	while ((r = sql_next(index, sql, &id)) == 0) {
		r = discard_one_cut_off(index, id);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/* The first and last id from *first to last whose row lies in the pack, into
 * ret->first (if it is 0) and ret->last. */
static int span_scan(struct index *index, uint64_t pack, uint64_t first, uint64_t last,
		     struct id_span *ret)
{
	static const char sql[] = "SELECT min(id), max(id) FROM (SELECT id FROM page "
				  "WHERE id BETWEEN ?1 AND ?2 AND pack = ?3)";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, first);
	sql_bind(query, 2, last);
	sql_bind(query, 3, pack);
	r = sql_step(index, query);
	if (r <= 0 || sqlite3_column_type(query, 0) == SQLITE_NULL)
		return MIN(r, 0);
	if (ret->first == 0)
		ret->first = sql_column(query, 0);
	ret->last = sql_column(query, 1);
	return 0;
}

/* Walks the ids that are there: *id becomes the next one behind it. A damaged id can
 * be anything, so no loop counts from one id to another. */
static int next_id(struct index *index, uint64_t *id)
{
	return sql_next(index, "SELECT id FROM page WHERE id > ?1 ORDER BY id LIMIT 1", id);
}

static int span_find(struct index *index, uint64_t pack, struct id_span *ret)
{
	uint64_t id = 0;
	int r;

	*ret = (struct id_span){0};
	while ((r = next_id(index, &id)) == 0) {
		uint64_t last = id + SCAN_IDS - 1;

		r = span_scan(index, pack, id, last, ret);
		if (r < 0)
			return r;
		id = last;
	}
	return r == -ENOENT ? 0 : r;
}

struct extent {
	uint64_t snapshot;
	uint64_t first;
	uint64_t page;
	uint64_t count;
};

/* The next extents behind *after whose ids meet the span. */
static int extents_list(struct index *index, const struct id_span *span, const struct extent *after,
			struct extent list[SCAN_EXTENTS], size_t *ret_n)
{
	static const char sql[] =
		"SELECT snapshot, first, page, count FROM extent WHERE page IS NOT NULL "
		"AND page <= ?2 AND page + count > ?1 AND (snapshot, first) > (?3, ?4) "
		"ORDER BY snapshot, first LIMIT ?5";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, sql, &query);

	*ret_n = 0;
	if (r < 0)
		return r;
	sql_bind(query, 1, span->first);
	sql_bind(query, 2, span->last);
	sql_bind(query, 3, after->snapshot);
	sql_bind(query, 4, after->first);
	sql_bind(query, 5, SCAN_EXTENTS);
	while ((r = sql_step(index, query)) > 0)
		list[(*ret_n)++] = (struct extent){.snapshot = sql_column(query, 0),
						   .first = sql_column(query, 1),
						   .page = sql_column(query, 2),
						   .count = sql_column(query, 3)};
	return r;
}

/* Does that extent name a page of the pack? Looks at the part inside the span. */
static int extent_needs(struct index *index, uint64_t pack, const struct id_span *span,
			const struct extent *extent, bool *ret)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index,
			"SELECT 1 FROM page WHERE id BETWEEN ?1 AND ?2 AND pack = ?3 LIMIT 1",
			&query);

	if (r < 0)
		return r;
	sql_bind(query, 1, MAX(extent->page, span->first));
	sql_bind(query, 2, MIN(extent->page + extent->count - 1, span->last));
	sql_bind(query, 3, pack);
	r = sql_step(index, query);
	*ret = r > 0;
	return MIN(r, 0);
}

static bool extent_is_behind(const struct extent *extent, const struct extent *before)
{
	return extent->snapshot > before->snapshot ||
	       (extent->snapshot == before->snapshot && extent->first > before->first);
}

/* Does any extent name a page of the pack? */
static int is_needed(struct index *index, uint64_t pack, const struct id_span *span, bool *ret)
{
	struct extent list[SCAN_EXTENTS];
	struct extent after = {0};
	size_t n = SCAN_EXTENTS;
	int r = 0;

	*ret = false;
	while (r == 0 && !*ret && n == SCAN_EXTENTS) {
		r = extents_list(index, span, &after, list, &n);
		for (size_t i = 0; r == 0 && !*ret && i < n; i++) {
			if (!extent_is_behind(&list[i], &after) && after.snapshot > 0)
				return fail_with(-EBADMSG,
						 "index.db: its extents are out of order");
			after = list[i];
			r = extent_needs(index, pack, span, &list[i], ret);
		}
	}
	return r;
}

static int keep_pack(struct index *index, uint64_t pack)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = run_with_id(index, "UPDATE pack SET doomed = 0 WHERE id = ?1", pack);
	return r < 0 ? r : transaction_commit(&open);
}

static int check_doomed(struct index *index, uint64_t pack)
{
	int64_t doomed = 0;
	int r = sql_number(index, "SELECT doomed FROM pack WHERE id = ?1", (int64_t)pack, &doomed);

	return r < 0 ? r : doomed ? 0 : -ENOENT;
}

static int drop_rows(struct index *index, uint64_t pack, uint64_t first, uint64_t last)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	AUTO_RESET sqlite3_stmt *drop = NULL;
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = check_doomed(index, pack);
	if (r == 0)
		r = sql_get(index, "DELETE FROM page WHERE id BETWEEN ?1 AND ?2 AND pack = ?3",
			    &drop);
	if (r < 0)
		return r;
	sql_bind(drop, 1, first);
	sql_bind(drop, 2, last);
	sql_bind(drop, 3, pack);
	r = sql_run(index, drop);
	return r < 0 ? r : transaction_commit(&open);
}

/* The file goes before the row of the pack, durably: so no file is ever left that the
 * index does not know. */
int discard_drop_file(struct index *index, uint64_t pack)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	char path[PATH_MAX];
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = check_doomed(index, pack);
	if (r < 0)
		return r;
	pack_path(index_store(index), (uint32_t)pack, path);
	if (unlink(path) < 0 && errno != ENOENT)
		return fail_with(-errno, "removing pack %" PRIu64 ": %s", pack, strerror(errno));
	r = io_sync_parent(path);
	if (r < 0)
		return fail_with(r, "removing pack %" PRIu64 ": %s", pack, strerror(-r));
	r = run_with_id(index, "DELETE FROM pack WHERE id = ?1", pack);
	return r < 0 ? r : transaction_commit(&open);
}

/* -ENOENT where another process has kept it, or dropped it, meanwhile. */
static int drop_pack(struct index *index, uint64_t pack, const struct id_span *span)
{
	uint64_t id = span->first - 1;
	int r = 0;

	while (span->first > 0 && (r = next_id(index, &id)) == 0 && id <= span->last) {
		uint64_t last = MIN(id + STEP_IDS - 1, span->last);

		r = drop_rows(index, pack, id, last);
		if (r < 0)
			return r;
		id = last;
	}
	return r < 0 && r != -ENOENT ? r : discard_drop_file(index, pack);
}

static int drop_doomed(struct index *index)
{
	static const char sql[] = "SELECT id FROM pack WHERE doomed AND id > ?1 ORDER BY id";
	uint64_t pack = 0;
	int r;

	while ((r = sql_next(index, sql, &pack)) == 0) {
		struct id_span span;
		bool needed = false;

		r = span_find(index, pack, &span);
		if (r == 0)
			r = is_needed(index, pack, &span, &needed);
		if (r == 0)
			r = needed ? keep_pack(index, pack) : drop_pack(index, pack, &span);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

void discard_leftovers(struct index *index)
{
	int r = discard_cut_off(index);

	if (r == 0)
		r = drop_doomed(index);
	if (r < 0)
		log_debug("giving back space: %s", fail_text(r));
}
