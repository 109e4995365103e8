/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/marks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/catalog.h"
#include "db/lock.h"
#include "db/sql.h"
#include "db/store-private.h"

#ifndef MARKS_EXTENTS /* of a snapshot, in one read transaction */
#define MARKS_EXTENTS 65536
#endif
#define NO_LIMIT UINT64_C(0x7fffffffffffffff)

/* An import under way, or a draft, when it was looked at. */
struct watched {
	uint64_t id;
	bool is_draft;
	uint64_t from;	  /* of an import: first of the extent that may have grown */
	uint64_t extents; /* of a draft: how many were read the last time */
};

struct marks {
	struct index *index;	 /* borrowed */
	uint64_t first;		 /* id of bit 0; 0: no window is loaded */
	uint64_t without;	 /* a snapshot that counts as gone */
	uint64_t seen;		 /* the greatest snapshot id looked at */
	bool complete;		 /* once: as of version */
	int64_t version;	 /* of the index */
	struct watched *watched; /* owned */
	size_t nwatched;
	size_t room;
	uint64_t bits[MARKS_IDS / 64];
};

struct layer {
	uint64_t id;
	uint64_t state;
	uint64_t data; /* pages, as sealed */
	uint64_t zero;
};

/* What was read of the extents of one snapshot. */
struct scan {
	uint64_t snapshot;
	uint64_t from; /* where to go on; the last extent is read again */
	uint64_t data; /* pages */
	uint64_t zero;
	uint64_t extents;
};

int marks_new(struct index *index, uint64_t without, struct marks **ret)
{
	struct marks *marks = calloc(1, sizeof(*marks));

	if (!marks)
		return fail_with(-ENOMEM, "out of memory");
	marks->index = index;
	marks->without = without;
	*ret = marks;
	return 0;
}

void marks_free(struct marks *marks)
{
	if (!marks)
		return;
	free(marks->watched);
	free(marks);
}

bool marks_covers(const struct marks *marks, uint64_t id)
{
	return marks->first && id - marks->first < MARKS_IDS;
}

bool marks_has(const struct marks *marks, uint64_t id)
{
	uint64_t i = id - marks->first;

	return i < MARKS_IDS && (marks->bits[i / 64] >> (i % 64) & 1);
}

/* The part of the run that lies in the window; a damaged one may be anything. */
static void mark_run(struct marks *marks, uint64_t page, uint64_t count)
{
	uint64_t end = count > UINT64_MAX - page ? UINT64_MAX : page + count;
	uint64_t from = MAX(page, marks->first) - marks->first;
	uint64_t to = MIN(end, marks->first + MARKS_IDS);

	if (to <= marks->first)
		return;
	to -= marks->first;
	while (from < to) {
		uint64_t bit = from % 64;
		uint64_t n = MIN(64 - bit, to - from);

		marks->bits[from / 64] |= (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << bit;
		from += n;
	}
}

/* Up to most extents from scan->from on. *ret_more: there may be others. */
static int scan_part(struct marks *marks, struct scan *scan, uint64_t most, bool *ret_more)
{
	static const char sql[] = "SELECT first, count, page FROM extent "
				  "WHERE snapshot = ?1 AND first >= ?2 ORDER BY first LIMIT ?3";
	AUTO_RESET sqlite3_stmt *query = NULL;
	uint64_t n = 0;
	int r = sql_get(marks->index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, scan->snapshot);
	sql_bind(query, 2, scan->from);
	sql_bind(query, 3, most);
	while ((r = sql_step(marks->index, query)) > 0) {
		uint64_t first = sql_column(query, 0);
		uint64_t count = sql_column(query, 1);

		if (first < scan->from || (n > 0 && first == scan->from))
			return fail_with(-EBADMSG, "index.db: its extents are out of order");
		scan->from = first;
		n++;
		if (sqlite3_column_type(query, 2) == SQLITE_NULL) {
			scan->zero += count;
			continue;
		}
		scan->data += count;
		mark_run(marks, sql_column(query, 2), count);
	}
	scan->extents += n;
	*ret_more = n == most;
	return r;
}

/* All extents, in parts. A draft's may move about, so they are one part; the last one
 * of an import may have grown and is read again, one of a sealed snapshot counts once. */
static int scan_all(struct marks *marks, struct scan *scan, uint64_t state)
{
	uint64_t most = state == SNAPSHOT_DRAFT ? NO_LIMIT : MARKS_EXTENTS;
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		r = scan_part(marks, scan, most, &more);
		scan->from += more && state == SNAPSHOT_SEALED;
	}
	return r;
}

#define LAYER_COLUMNS "SELECT id, state, layer_data, layer_zero FROM snapshot "

/* -ENOENT where there is none. */
static int layer_fetch(struct marks *marks, const char *sql, uint64_t id, struct layer *ret)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(marks->index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	r = sql_step(marks->index, query);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = (struct layer){.id = sql_column(query, 0),
			      .state = sql_column(query, 1),
			      .data = sql_column(query, 2),
			      .zero = sql_column(query, 3)};
	return 0;
}

static int layer_read(struct marks *marks, uint64_t id, struct layer *ret)
{
	return layer_fetch(marks, LAYER_COLUMNS "WHERE id = ?1", id, ret);
}

static int layer_next(struct marks *marks, struct layer *ret)
{
	int r = layer_fetch(marks, LAYER_COLUMNS "WHERE id > ?1 ORDER BY id LIMIT 1", marks->seen,
			    ret);

	if (r == 0 && ret->id <= marks->seen)
		return fail_with(-EBADMSG, "index.db: its snapshots are out of order");
	return r;
}

static int watch(struct marks *marks, const struct scan *scan, bool is_draft)
{
	if (marks->nwatched == marks->room) {
		size_t room = marks->room ? 2 * marks->room : 16;
		struct watched *more = reallocarray(marks->watched, room, sizeof(*more));

		if (!more)
			return fail_with(-ENOMEM, "out of memory");
		marks->watched = more;
		marks->room = room;
	}
	marks->watched[marks->nwatched++] = (struct watched){.id = scan->snapshot,
							     .is_draft = is_draft,
							     .from = scan->from,
							     .extents = scan->extents};
	return 0;
}

/* It may have been removed between its row and its extents. */
static int check_counts(struct marks *marks, const struct layer *layer, const struct scan *scan)
{
	static const char sql[] = "SELECT state FROM snapshot WHERE id = ?1";
	int64_t state;
	int r;

	if (scan->data == layer->data && scan->zero == layer->zero)
		return 0;
	r = sql_number(marks->index, sql, (int64_t)layer->id, &state);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r
		     : fail_with(-EBADMSG,
				 "snapshot %" PRIu64 " has %" PRIu64 " pages of data and %" PRIu64
				 " of zeros in the index, not %" PRIu64 " and %" PRIu64
				 ": see 'pagoda check'",
				 layer->id, scan->data, scan->zero, layer->data, layer->zero);
}

/* An importer lets its lease go after it has sealed: without a lease, and not sealed
 * even then, it was cut off. */
static int importing_look(struct marks *marks, struct layer *layer, bool *ret_cut_off)
{
	struct locks *locks = index_store(marks->index)->locks;
	int r = 0;

	*ret_cut_off = !locks_is_leased(locks, layer->id);
	if (*ret_cut_off)
		r = layer_read(marks, layer->id, layer);
	if (r == 0 && layer->state != SNAPSHOT_IMPORTING)
		*ret_cut_off = false;
	return r == -ENOENT ? 0 : r;
}

/* The state was read before the extents: what is sealed by then is complete. */
static int layer_mark(struct marks *marks, struct layer *layer, uint64_t *extents)
{
	struct scan scan = {.snapshot = layer->id};
	bool cut_off = layer->id == marks->without;
	int r = 0;

	if (!cut_off && layer->state == SNAPSHOT_IMPORTING)
		r = importing_look(marks, layer, &cut_off);
	if (r < 0 || cut_off)
		return r;
	r = scan_all(marks, &scan, layer->state);
	*extents += scan.extents;
	if (r == 0 && layer->state != SNAPSHOT_SEALED)
		r = watch(marks, &scan, layer->state == SNAPSHOT_DRAFT);
	if (r == 0 && layer->state == SNAPSHOT_SEALED)
		r = check_counts(marks, layer, &scan);
	return r;
}

/* Snapshots that are new since. */
static int mark_new(struct marks *marks, uint64_t most, bool *ret_all)
{
	struct layer layer;
	uint64_t extents = 0;
	int r = 0;

	while (extents <= most && (r = layer_next(marks, &layer)) == 0) {
		r = layer_mark(marks, &layer, &extents);
		if (r < 0)
			return r;
		marks->seen = layer.id;
	}
	*ret_all = r == -ENOENT;
	return r == -ENOENT ? 0 : r;
}

/* What it names since. It is watched no more once it was sealed, or taken out, before
 * the last of its extents was read. A draft's are read all again. */
static int watched_mark(struct marks *marks, struct watched *watched, uint64_t most, bool *ret_more,
			bool *ret_ended)
{
	static const char sql[] = "SELECT state FROM snapshot WHERE id = ?1";
	struct scan scan = {.snapshot = watched->id, .from = watched->from};
	int64_t state = SNAPSHOT_SEALED;
	int r = sql_number(marks->index, sql, (int64_t)watched->id, &state);

	if (r < 0 && r != -ENOENT)
		return r;
	if (watched->is_draft && watched->extents > most) {
		*ret_more = true;
		return 0;
	}
	if (watched->is_draft)
		scan.from = 0;
	r = scan_part(marks, &scan,
		      watched->is_draft ? NO_LIMIT : MIN(most, (uint64_t)MARKS_EXTENTS), ret_more);
	watched->from = scan.from;
	watched->extents = scan.extents;
	*ret_ended = state != SNAPSHOT_IMPORTING && state != SNAPSHOT_DRAFT && !*ret_more;
	return r;
}

static int watched_mark_all(struct marks *marks, uint64_t most, bool *ret_more)
{
	int r = 0;

	*ret_more = false;
	for (size_t i = 0; r == 0 && !*ret_more && i < marks->nwatched;) {
		bool ended = false;

		r = watched_mark(marks, &marks->watched[i], most, ret_more, &ended);
		if (ended)
			marks->watched[i] = marks->watched[--marks->nwatched];
		else
			i++;
	}
	return r;
}

int marks_catch_up(struct marks *marks, uint64_t most, bool *ret_all)
{
	int64_t version;
	bool more = false;
	/* it changes with every commit of another connection */
	int r = sql_number(marks->index, "PRAGMA data_version", 0, &version);

	*ret_all = r == 0 && marks->complete && version == marks->version;
	if (r < 0 || *ret_all)
		return r;
	r = watched_mark_all(marks, most, &more);
	if (r == 0 && !more)
		r = mark_new(marks, most, ret_all);
	if (r == 0 && *ret_all) {
		marks->complete = true;
		marks->version = version;
	}
	return r;
}

int marks_load(struct marks *marks, uint64_t first)
{
	bool all;

	marks->first = first;
	marks->seen = 0;
	marks->complete = false;
	marks->nwatched = 0;
	memset(marks->bits, 0, sizeof(marks->bits));
	return marks_catch_up(marks, UINT64_MAX, &all);
}
