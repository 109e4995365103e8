/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collection:
 *
 *   sweep     imports that were cut off are taken out
 *   mark      a window of ids after the other: what extents name (marks.c)
 *   drop      page rows of the window that are not marked, in steps; each sees within
 *             its transaction what was named since
 *   retire    packs without a row: from the index, then their files (gc-packs.c)
 *   repack    packs with little left in them (gc-repack.c), which then retire too
 *   strays    pack files that the index does not know
 *   shrink    pages of index.db that are free go back to the file system
 *
 * Rewriting comes after what needs no space. Nothing is kept between two runs but what
 * the store says itself, so a run that was cut off is gone on with by doing it again.
 *
 * A dry run reads the same and counts. It marks a window once more for each part.
 */
#include "config.h"

#include "db/gc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "db/damage-private.h"
#include "db/discard.h"
#include "db/gc-private.h"
#include "db/lock.h"
#include "db/reserve.h"
#include "db/rows.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

#define NEW_EXTENTS 8192    /* looked at with the writer lock */
#define TRIES 50	    /* of a step, while others add faster than that */
#define PAUSE_NS 5000000    /* between steps: others wait for the lock by looking */
#define TIGHT_ROWS 64	    /* dropped in one step on a full disk */
#define SHRINK_PAGES 256    /* of index.db, in one step */
#define SHRINK_STEPS 100000 /* 100 GiB: a loop that ends */

struct batch {
	size_t n;
	struct gc_row rows[GC_STEP_ROWS];
};

int gc_rows_list(struct gc *gc, uint64_t *after, uint64_t last, struct gc_row rows[GC_ROWS],
		 size_t *ret_n)
{
	static const char sql[] = "SELECT id, hash, pack, offset, length FROM page "
				  "WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(gc->index, sql, &query);

	*ret_n = 0;
	if (r < 0)
		return r;
	sql_bind(query, 1, *after);
	sql_bind(query, 2, last);
	sql_bind(query, 3, GC_ROWS);
	while ((r = sql_step(gc->index, query)) > 0) {
		struct page_row row = rows_parse(query, 1);
		uint64_t id = sql_column(query, 0);

		/* a damaged b-tree may come back to where it was, for ever */
		if (id <= *after || id > last)
			return fail_with(-EBADMSG, "index.db: its page rows are out of order");
		*after = id;
		rows[(*ret_n)++] = (struct gc_row){.id = id,
						   .pack = sql_column(query, 2),
						   .offset = row.offset,
						   .length = row.length};
	}
	return r;
}

static int window_load(struct gc *gc, uint64_t id)
{
	int r = marks_load(gc->marks, id);

	if (r == 0) /* who opened a draft before is seen by now */
		gc_packs_look(gc);
	return r;
}

int gc_row_stays(struct gc *gc, const struct gc_row *row, const struct gc_pack *pack, bool *ret)
{
	int r = 0;

	/* else what did not stay is gone */
	if (gc->dry_run && !marks_covers(gc->marks, row->id))
		r = window_load(gc, row->id);
	if (r == 0)
		*ret = pack->kept || !gc->dry_run || marks_has(gc->marks, row->id);
	return r;
}

/* Rows come in the order of their ids, those of an import in that of their blocks too:
 * what lies behind all others was not counted before. */
static void count_row(struct gc_pack *pack, const struct gc_row *row)
{
	pack->rows++;
	if (row->length == 0 || row->offset + row->length > pack->size)
		pack->damaged = true;
	if (row->offset < pack->end)
		return;
	pack->least += row->length;
	pack->end = row->offset + row->length;
}

void gc_pause(void)
{
	struct timespec pause = {.tv_nsec = PAUSE_NS};

	nanosleep(&pause, NULL);
}

static int drop_row(struct gc *gc, uint64_t id)
{
	AUTO_RESET sqlite3_stmt *drop = NULL;
	int r = sql_get(gc->index, "DELETE FROM page WHERE id = ?1", &drop);

	if (r < 0)
		return r;
	sql_bind(drop, 1, id);
	return sql_run(gc->index, drop);
}

/* Those that were named meanwhile stay. *ret_done: it was committed. */
static int drop_try(struct gc *gc, const struct batch *batch, uint64_t most, bool *ret_done)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	bool all = false;
	int r = 0;

	*ret_done = false;
	while (r == 0 && !all)
		r = marks_catch_up(gc->marks, UINT64_MAX, &all);
	if (r == 0)
		r = transaction_begin(gc->index, gc->tight ? TRANSACTION_CATALOG : TRANSACTION_STEP,
				      &open);
	if (r == 0)
		r = marks_catch_up(gc->marks, most, &all);
	if (r < 0 || !all)
		return r;
	for (size_t i = 0; r == 0 && i < batch->n; i++)
		if (!marks_has(gc->marks, batch->rows[i].id))
			r = drop_row(gc, batch->rows[i].id);
	if (r == 0)
		r = transaction_commit(&open);
	*ret_done = r == 0;
	return r;
}

static int drop_batch(struct gc *gc, struct batch *batch)
{
	bool done = batch->n == 0;
	int r = 0;

	for (int tries = 0; r == 0 && !done && tries < TRIES; tries++) {
		/* a last resort, for a large draft that changes all the time */
		uint64_t most = tries < TRIES / 2 ? NEW_EXTENTS : UINT64_MAX;

		r = gc->dry_run ? 0 : drop_try(gc, batch, most, &done);
		done |= gc->dry_run;
		if (!gc->dry_run)
			gc_pause();
	}
	if (r == 0 && !done)
		r = fail_with(-EBUSY, "others write to the store too fast: try again later");
	if (r < 0)
		return r;
	for (size_t i = 0; i < batch->n; i++) {
		struct gc_pack *pack = gc_packs_find(gc, batch->rows[i].pack);

		if (!marks_has(gc->marks, batch->rows[i].id))
			gc->report.pages++;
		else if (pack)
			count_row(pack, &batch->rows[i]);
	}
	batch->n = 0;
	return 0;
}

/* Tells rows that stay from rows to be dropped. */
static int rows_sort_out(struct gc *gc, const struct gc_row *rows, size_t n, struct batch *batch)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct gc_pack *pack = gc_packs_find(gc, rows[i].pack);
		bool damaged = gc->damage_found && damage_has_page(gc->damage_found, rows[i].id);

		if (!pack && !damaged) /* it came later, or is of another maker */
			continue;
		if (!marks_covers(gc->marks, rows[i].id)) {
			r = drop_batch(gc, batch);
			if (r == 0)
				r = window_load(gc, rows[i].id);
			if (r < 0)
				return r;
		}
		if ((!damaged && pack->kept) || marks_has(gc->marks, rows[i].id)) {
			if (pack)
				count_row(pack, &rows[i]);
			continue;
		}
		batch->rows[batch->n++] = rows[i];
		if (batch->n == (gc->tight ? TIGHT_ROWS : GC_STEP_ROWS))
			r = drop_batch(gc, batch);
	}
	return r;
}

static int rows_collect(struct gc *gc)
{
	AUTO_FREE struct gc_row *rows = calloc(GC_ROWS, sizeof(*rows));
	AUTO_FREE struct batch *batch = calloc(1, sizeof(*batch));
	uint64_t before = 0;
	uint64_t after = 0;
	size_t n = GC_ROWS;
	int r = rows && batch ? 0 : fail_with(-ENOMEM, "out of memory");

	if (r == 0)
		r = window_load(gc, 1);
	while (r == 0 && n == GC_ROWS) {
		r = gc_rows_list(gc, &after, gc->last, rows, &n);
		if (r == 0)
			r = rows_sort_out(gc, rows, n, batch);
		progress_add(gc->progress, (after - before) * PAGE_BYTES);
		before = after;
	}
	return r < 0 ? r : drop_batch(gc, batch);
}

/* A pack that its maker is just about to make has neither rows nor a file. */
static bool is_expected(struct gc *gc, const struct gc_pack *pack)
{
	return pack->size == 0 && pack->maker &&
	       locks_is_leased(index_store(gc->index)->locks, pack->maker);
}

static int packs_drop(struct gc *gc)
{
	for (size_t i = 0; i < gc->npacks; i++) {
		struct gc_pack *pack = &gc->packs[i];

		pack->leaves = !pack->kept && pack->rows == 0 && !is_expected(gc, pack);
	}
	return gc_packs_retire(gc);
}

/* 1 while there are free pages, 0 when there are none, or the store was made without
 * room for giving them back (auto_vacuum): then they are used again. */
static int shrink_step(struct index *index)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int64_t before = 0;
	int64_t after = 0;
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = sql_number(index, "PRAGMA freelist_count", 0, &before);
	if (r == 0 && before == 0)
		return 0;
	if (r == 0)
		r = sql_vacuum(index, SHRINK_PAGES);
	if (r == 0)
		r = sql_number(index, "PRAGMA freelist_count", 0, &after);
	if (r == 0)
		r = transaction_commit(&open);
	return r < 0 ? r : after > 0 && after < before;
}

/* Best effort: on a full disk the log of it may find no room. */
static void shrink(struct index *index)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int r = 1;

	for (int steps = 0; r > 0 && steps < SHRINK_STEPS; steps++) {
		r = shrink_step(index);
		gc_pause();
	}
	if (r == 0) /* durable, and out of the log */
		r = transaction_begin(index, TRANSACTION_CATALOG, &open);
	if (r == 0)
		r = transaction_commit(&open);
	if (r < 0)
		log_debug("shrinking the index: %s", fail_text(r));
}

int gc_last_find(struct gc *gc)
{
	int64_t last = 0;
	int r = sql_number(gc->index, "SELECT seq FROM sqlite_sequence WHERE name = 'page'", 0,
			   &last);

	gc->last = (uint64_t)last;
	return r == -ENOENT ? fail_with(-EBADMSG, "index.db: its sequence of page ids is missing")
			    : r;
}

static int collect(struct gc *gc)
{
	int r = marks_new(gc->index, gc->without, &gc->marks);

	if (r == 0)
		r = gc_last_find(gc);
	if (r == 0)
		r = gc_packs_load(gc);
	if (r == 0)
		progress_set_total(gc->progress, gc->last * PAGE_BYTES);
	if (r == 0)
		r = rows_collect(gc);
	if (r == 0)
		r = packs_drop(gc);
	if (r == 0 && !gc->maker)
		r = gc_packs_strays(gc);
	if (r == 0)
		r = gc_repack(gc);
	return r;
}

/* One run; what it did is added to *ret. */
static int run(struct gc *gc, struct gc_report *ret)
{
	int r = collect(gc);

	if (r == 0 && gc->damage)
		r = fail_with(gc->damage, "%s", gc->damage_text);
	ret->pages += gc->report.pages;
	ret->packs += gc->report.packs;
	ret->rewritten += gc->report.rewritten;
	ret->made += gc->report.made;
	ret->bytes += gc->report.bytes;
	ret->damaged += gc->report.damaged;
	marks_free(gc->marks);
	free(gc->packs);
	return r;
}

static int sweep_and_run(const struct gc *request, bool tight, struct gc_report *ret)
{
	struct gc gc = *request;
	int r = discard_cut_off(gc.index);

	gc.tight = tight;
	return r < 0 ? r : run(&gc, ret);
}

/* As the only collector. */
static int run_alone(const struct gc *request, struct gc_report *ret)
{
	struct store *store = index_store(request->index);
	int r = locks_take_collector(store->locks);

	if (r < 0)
		return r;
	r = sweep_and_run(request, false, ret);
	if (r == -ENOSPC && reserve_release(store->path))
		r = sweep_and_run(request, true, ret);
	if (r == 0)
		shrink(request->index);
	reserve_make(store->path);
	locks_drop_collector(store->locks);
	return r;
}

int gc_run(struct index *index, const struct gc_request *request, struct gc_report *ret)
{
	struct gc gc = {.index = index,
			.progress = request->progress,
			.dry_run = request->dry_run,
			.without = request->without};

	*ret = (struct gc_report){0};
	return gc.dry_run ? run(&gc, ret) : run_alone(&gc, ret);
}

int gc_run_damaged(struct index *index, const struct damage *damage, struct gc_report *ret)
{
	struct gc gc = {.index = index, .damage_found = damage};

	*ret = (struct gc_report){0};
	return run_alone(&gc, ret);
}

int gc_would_free(struct index *index, uint64_t snapshot, uint64_t *ret_bytes)
{
	struct gc_request request = {.dry_run = true};
	struct gc_report with;
	struct gc_report without;
	int r = gc_run(index, &request, &with);

	request.without = snapshot;
	if (r == 0)
		r = gc_run(index, &request, &without);
	if (r == 0)
		*ret_bytes = without.bytes > with.bytes ? without.bytes - with.bytes : 0;
	return r;
}

int gc_run_maker(struct index *index, uint64_t maker, struct gc_report *ret)
{
	struct gc gc = {.index = index, .maker = maker};

	*ret = (struct gc_report){0};
	return run(&gc, ret);
}
