/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of a draft is, in this order: its pending row, the extent of the layer that
 * covers it, what the parent has. The counts of the row follow from what each changed
 * page was and becomes, so they are right after each transaction and no flush has to
 * count the whole image.
 */
#include "config.h"

#include "db/layer-edit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/fail.h"
#include "db/catalog-private.h"
#include "db/pending.h"
#include "db/sql.h"
#include "db/store.h"

struct extent {
	uint64_t first;
	uint64_t count;
	uint64_t page; /* 0: zero pages */
};

/* What pages are, or how many more they become: in the layer, and data at all. */
struct counts {
	int64_t layer_data;
	int64_t layer_zero;
	int64_t data;
};

struct layer_edit {
	struct index *index; /* borrowed */
	uint64_t id;
	const struct map *parent; /* borrowed */
	struct counts change;	  /* of the transaction so far */
	/* The extents a call is about: the last that begins before its range, if
	 * there is one, then those that begin in it. */
	struct extent *old; /* owned */
	size_t nold;
	size_t room;
};

int layer_edit_new(struct index *index, uint64_t id, const struct map *parent,
		   struct layer_edit **ret)
{
	struct layer_edit *edit = calloc(1, sizeof(*edit));

	if (!edit)
		return fail_with(-ENOMEM, "out of memory");
	edit->index = index;
	edit->id = id;
	edit->parent = parent;
	*ret = edit;
	return 0;
}

void layer_edit_free(struct layer_edit *edit)
{
	if (!edit)
		return;
	free(edit->old);
	free(edit);
}

void layer_edit_begin(struct layer_edit *edit)
{
	edit->change = (struct counts){0};
}

/* ---- what was there ---- */

static int old_add(struct layer_edit *edit, sqlite3_stmt *query)
{
	struct extent extent = {.first = sql_column(query, 0),
				.count = sql_column(query, 1),
				.page = sql_column(query, 2)};

	if (extent.count == 0 || extent.count > edit->parent->npages ||
	    extent.first > edit->parent->npages - extent.count ||
	    (edit->nold > 0 &&
	     extent.first < edit->old[edit->nold - 1].first + edit->old[edit->nold - 1].count))
		return fail_with(-EBADMSG, "index.db: the extent at page %" PRIu64 " is damaged",
				 extent.first);
	if (edit->nold == edit->room) {
		size_t room = edit->room ? 2 * edit->room : 16;
		struct extent *more = reallocarray(edit->old, room, sizeof(*more));

		if (!more)
			return fail_with(-ENOMEM, "out of memory");
		edit->old = more;
		edit->room = room;
	}
	edit->old[edit->nold++] = extent;
	return 0;
}

static int old_find(struct layer_edit *edit, uint64_t first, uint64_t end)
{
	static const char sql[] =
		"SELECT first, count, page FROM extent WHERE snapshot = ?1 AND first < ?3 AND "
		"first >= coalesce((SELECT max(first) FROM extent WHERE snapshot = ?1 AND "
		"first < ?2), ?2) ORDER BY first";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(edit->index, sql, &query);

	edit->nold = 0;
	if (r < 0)
		return r;
	sql_bind(query, 1, edit->id);
	sql_bind(query, 2, first);
	sql_bind(query, 3, end);
	while ((r = sql_step(edit->index, query)) > 0) {
		r = old_add(edit, query);
		if (r < 0)
			return r;
	}
	return r;
}

/* Adds sign times what count pages are that no layer but the parent's has. */
static void add_parent(struct layer_edit *edit, uint64_t first, uint64_t count, int sign)
{
	if (count > 0)
		edit->change.data += sign * (int64_t)map_count(edit->parent, MAP_MEM, first, count);
}

static void add_layer(struct layer_edit *edit, bool zero, uint64_t count, int sign)
{
	if (zero) {
		edit->change.layer_zero += sign * (int64_t)count;
	} else {
		edit->change.layer_data += sign * (int64_t)count;
		edit->change.data += sign * (int64_t)count;
	}
}

/* Adds sign times what the extents and the parent make of a range. */
static void add_extents(struct layer_edit *edit, uint64_t first, uint64_t end, int sign)
{
	uint64_t at = first;

	for (size_t i = 0; i < edit->nold; i++) {
		const struct extent *extent = &edit->old[i];
		uint64_t from = MAX(extent->first, first);
		uint64_t to = MIN(extent->first + extent->count, end);

		if (from >= to)
			continue;
		add_parent(edit, at, from - at, sign);
		add_layer(edit, extent->page == 0, to - from, sign);
		at = to;
	}
	add_parent(edit, at, end - at, sign);
}

/* The pending pages of a range hide what the extents say of them. */
static int take_pending(struct layer_edit *edit, uint64_t first, uint64_t count)
{
	static const char sql[] = "SELECT pgno, length(data) FROM pending WHERE snapshot = ?1 "
				  "AND pgno BETWEEN ?2 AND ?3";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(edit->index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, edit->id);
	sql_bind(query, 2, first);
	sql_bind(query, 3, first + count - 1);
	while ((r = sql_step(edit->index, query)) > 0) {
		uint64_t pgno = sql_column(query, 0);

		add_extents(edit, pgno, pgno + 1, 1);
		add_layer(edit, sql_column(query, 1) == 0, 1, -1);
	}
	return r;
}

/* Finds what is there and takes it off the counts. */
static int take_off(struct layer_edit *edit, uint64_t first, uint64_t count)
{
	int r = old_find(edit, first, first + count);

	if (r == 0)
		add_extents(edit, first, first + count, -1);
	return r == 0 ? take_pending(edit, first, count) : r;
}

/* ---- what comes ---- */

static int extent_put(struct layer_edit *edit, const struct extent *extent)
{
	static const char sql[] = "INSERT OR REPLACE INTO extent (snapshot, first, count, page) "
				  "VALUES (?1, ?2, ?3, ?4)";
	sqlite3_stmt *insert;
	int r = sql_get(edit->index, sql, &insert);

	if (r < 0)
		return r;
	sql_bind(insert, 1, edit->id);
	sql_bind(insert, 2, extent->first);
	sql_bind(insert, 3, extent->count);
	if (extent->page)
		sql_bind(insert, 4, extent->page);
	return sql_run(edit->index, insert);
}

static int extents_delete(struct layer_edit *edit, uint64_t first, uint64_t end)
{
	static const char sql[] = "DELETE FROM extent WHERE snapshot = ?1 AND first >= ?2 AND "
				  "first < ?3";
	sqlite3_stmt *statement;
	int r = sql_get(edit->index, sql, &statement);

	if (r < 0)
		return r;
	sql_bind(statement, 1, edit->id);
	sql_bind(statement, 2, first);
	sql_bind(statement, 3, end);
	return sql_run(edit->index, statement);
}

static bool continues(const struct extent *left, const struct extent *right)
{
	return left->first + left->count == right->first &&
	       (left->page == 0) == (right->page == 0) &&
	       (left->page == 0 || left->page + left->count == right->page);
}

/* Makes room: what overlaps the range is cut off at its ends. */
static int cut_out(struct layer_edit *edit, uint64_t first, uint64_t end)
{
	struct extent *left = edit->nold > 0 && edit->old[0].first < first ? &edit->old[0] : NULL;
	const struct extent last = edit->nold > 0 ? edit->old[edit->nold - 1] : (struct extent){0};
	int r = 0;

	if (left && left->first + left->count > first) {
		left->count = first - left->first;
		r = extent_put(edit, left);
	}
	if (r == 0)
		r = extents_delete(edit, first, end);
	if (r == 0 && last.count > 0 && last.first + last.count > end) {
		struct extent rest = {.first = end,
				      .count = last.first + last.count - end,
				      .page = last.page ? last.page + (end - last.first) : 0};

		r = extent_put(edit, &rest);
	}
	return r;
}

int layer_edit_run(struct layer_edit *edit, uint64_t first, uint64_t count, uint64_t page)
{
	struct extent extent = {.first = first, .count = count, .page = page};
	int r = take_off(edit, first, count);

	if (r == 0)
		r = pending_delete(edit->index, edit->id, first, count);
	if (r == 0)
		r = cut_out(edit, first, first + count);
	if (r < 0)
		return r;
	add_layer(edit, page == 0, count, 1);
	if (edit->nold > 0 && edit->old[0].first < first && continues(&edit->old[0], &extent)) {
		extent = edit->old[0];
		extent.count += count;
	}
	return extent_put(edit, &extent);
}

int layer_edit_pending(struct layer_edit *edit, uint64_t pgno, const void *plain)
{
	int r = take_off(edit, pgno, 1);

	if (r == 0)
		r = pending_put(edit->index, edit->id, pgno, plain);
	if (r == 0)
		add_layer(edit, plain == NULL, 1, 1);
	return r;
}

int layer_edit_end(struct layer_edit *edit, const struct layer_edit_stored *stored,
		   uint64_t version, uint64_t now_ns)
{
	static const char sql[] =
		"UPDATE snapshot SET data_pages = data_pages + ?2, layer_data = layer_data + ?3, "
		"layer_zero = layer_zero + ?4, "
		"stored_pages = min(stored_pages + ?5, layer_data + ?3), "
		"stored_bytes = stored_bytes + ?6 WHERE id = ?1 AND state = 1";
	AUTO_RESET sqlite3_stmt *update = NULL;
	int r = sql_get(edit->index, sql, &update);

	if (r < 0)
		return r;
	sql_bind(update, 1, edit->id);
	sqlite3_bind_int64(update, 2, edit->change.data);
	sqlite3_bind_int64(update, 3, edit->change.layer_data);
	sqlite3_bind_int64(update, 4, edit->change.layer_zero);
	sql_bind(update, 5, stored->pages);
	sql_bind(update, 6, stored->bytes);
	r = sql_run(edit->index, update);
	if (r == 0 && sqlite3_changes(index_db(edit->index)) != 1)
		r = fail_with(-ESTALE, "it is no draft any more");
	return r < 0 ? r : catalog_put_changed(edit->index, edit->id, version, now_ns);
}
