/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step:
 *
 *   fetch    rows of a few pages of the layer, past the cache
 *   encode   blocks of another codec are read, proved, encoded, appended to our pack
 *   sync     the pack
 *   move     a short transaction gives all rows that name an old place the new one
 *
 * Invariants: (1) rows that name one place move together, in one statement, found by
 * their hash: aliases never part; (2) a row that was moved by another meanwhile names
 * another place and is left alone; (3) a row points at bytes that are durable; (4) the
 * old place is not touched: who has a row in its cache reads on from there, until the
 * garbage is collected and the pack found missing.
 *
 * The pack is locked while it is open, so that nobody takes it for garbage before its
 * rows are there.
 */
#include "config.h"

#include "db/repack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/catalog.h"
#include "db/gc-private.h"
#include "db/lock.h"
#include "db/pack-make.h"
#include "db/pages-private.h"
#include "db/places.h"
#include "db/rows.h"
#include "db/schema.h"
#include "db/snapshot.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

#ifndef REPACK_ROWS	       /* a test has less of each, so that there are many */
#define REPACK_ROWS 256	       /* fetched at a time */
#define REPACK_STEP_PAGES 1024 /* moved by one transaction */
#endif

struct move {
	struct page_row from;
	struct page_row to;
};

struct repack {
	struct index *index; /* borrowed */
	const struct repack_request *request;
	struct snapshot *snapshot;  /* owned: leased */
	struct pages *pages;	    /* owned */
	struct places *seen;	    /* owned; old places dealt with, since the last step */
	struct places *bad;	    /* owned; places of damaged pages */
	struct pack_writer *writer; /* owned; NULL: none is open */
	uint64_t writer_bytes;	    /* in a dry run this is all there is of it */
	struct repack_report report;
	size_t nmoves;
	struct move moves[REPACK_STEP_PAGES];
	struct page_row rows[REPACK_ROWS];
	char damage_text[FAIL_TEXT_MAX]; /* of the first damaged page */
	char plain[PAGE_BYTES];
	char packed[PAGE_BYTES];
};

static void repack_free_at(struct repack **repack)
{
	struct repack *r = *repack;

	if (!r)
		return;
	if (r->writer)
		pack_writer_truncate(r->writer);
	pack_writer_close(r->writer);
	places_free(r->seen);
	places_free(r->bad);
	pages_close(r->pages);
	snapshot_close(r->snapshot);
	free(r);
}

/* All rows that name the place, in whatever snapshot. */
static int move_rows(struct repack *repack, const struct move *move)
{
	static const char sql[] = "UPDATE page SET pack = ?1, offset = ?2, length = ?3 "
				  "WHERE hash = ?4 AND pack = ?5 AND offset = ?6";
	sqlite3_stmt *update;
	int r = schema_need_codec(repack->index, move->to.codec);

	if (r == 0)
		r = sql_get(repack->index, sql, &update);
	if (r < 0)
		return r;
	sql_bind(update, 1, move->to.pack);
	sql_bind(update, 2, move->to.offset);
	sql_bind(update, 3, page_row_length(&move->to));
	sql_bind(update, 4, move->from.hash);
	sql_bind(update, 5, move->from.pack);
	sql_bind(update, 6, move->from.offset);
	return sql_run(repack->index, update);
}

static int write_moves(struct repack *repack)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int r = transaction_begin(repack->index, TRANSACTION_STEP, &open);

	for (size_t i = 0; r == 0 && i < repack->nmoves; i++)
		r = move_rows(repack, &repack->moves[i]);
	return r < 0 ? r : transaction_commit(&open);
}

/* In a dry run nothing moves, so what was seen stays seen. */
static int step_commit(struct repack *repack)
{
	int r;

	if (repack->request->dry_run || repack->nmoves == 0)
		return 0;
	r = pack_writer_sync(repack->writer);
	if (r == 0)
		r = write_moves(repack);
	if (r < 0)
		return r;
	for (size_t i = 0; i < repack->nmoves; i++) {
		repack->report.pages++;
		repack->report.before += repack->moves[i].from.length;
		repack->report.after += repack->moves[i].to.length;
	}
	repack->nmoves = 0;
	places_clear(repack->seen);
	gc_pause();
	return 0;
}

static int writer_make(struct repack *repack)
{
	uint64_t maker = snapshot_row(repack->snapshot)->id;
	int r = 0;

	if (!repack->request->dry_run)
		r = pack_make(repack->index, maker, &repack->writer);
	if (r == 0) {
		repack->writer_bytes = PACK_HEADER_BYTES;
		repack->report.packs++;
	}
	return r;
}

/* A full pack is closed when all its rows are there. */
static int writer_ready(struct repack *repack)
{
	int r = 0;

	if (repack->writer_bytes > 0 && repack->writer_bytes < PACK_BYTES_FULL)
		return 0;
	r = step_commit(repack);
	if (r < 0)
		return r;
	pack_writer_close(repack->writer);
	repack->writer = NULL;
	return writer_make(repack);
}

/* Does more than one row name the place? */
static int is_shared(struct repack *repack, const struct page_row *row, bool *ret)
{
	static const char sql[] = "SELECT id FROM page WHERE hash = ?1 AND pack = ?2 "
				  "AND offset = ?3 LIMIT 1 OFFSET 1";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(repack->index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, row->hash);
	sql_bind(query, 2, row->pack);
	sql_bind(query, 3, row->offset);
	r = sql_step(repack->index, query);
	*ret = r > 0;
	return MIN(r, 0);
}

/* Is it the first time that the place comes up? Only one that is shared can come up
 * again: a dry run, which never forgets, keeps no other. */
static int is_new_place(struct repack *repack, const struct page_row *row, bool *ret)
{
	bool shared = true;
	int r = 0;

	if (repack->request->dry_run)
		r = is_shared(repack, row, &shared);
	*ret = true;
	if (r == 0 && shared)
		r = places_add(repack->seen, row->pack, row->offset, ret);
	return r;
}

/* The plain page of the row, which becomes what it is now where its pack is gone: the
 * page was moved since. */
static int load(struct repack *repack, uint64_t id, struct page_row *row)
{
	int r = pages_load(repack->pages, row, repack->plain);

	if (r != -ENOENT)
		return r;
	r = rows_get(repack->index, id, 1, true, row);
	if (r == 0 && row->length == 0)
		return fail_with(-EBADMSG, "it is missing or is not one");
	if (r == 0)
		r = pages_load(repack->pages, row, repack->plain);
	return r == -ENOENT ? fail_with(-EBADMSG, "%s", fail_text(r)) : r;
}

/* A shared page counts once, as long as its rows say where it is. */
static int set_damaged(struct repack *repack, uint64_t id, const struct page_row *row, int err)
{
	char text[FAIL_TEXT_MAX];
	bool is_new = true;
	int r = 0;

	fail_copy(err, text);
	if (row->length > 0)
		r = places_add(repack->bad, row->pack, row->offset, &is_new);
	if (r < 0 || !is_new)
		return r;
	if (repack->report.damaged++ == 0)
		snprintf(repack->damage_text, sizeof(repack->damage_text),
			 "page row %" PRIu64 ": %.300s", id, text);
	return 0;
}

/* The block goes to our pack. */
static int append(struct repack *repack, struct move *move)
{
	int r;

	if (repack->request->dry_run) {
		repack->report.pages++;
		repack->report.before += move->from.length;
		repack->report.after += move->to.length;
		repack->writer_bytes += move->to.length;
		return 0;
	}
	move->to.pack = pack_writer_number(repack->writer);
	move->to.offset = pack_writer_size(repack->writer);
	r = pack_writer_append(repack->writer, repack->packed, move->to.length);
	repack->writer_bytes = pack_writer_size(repack->writer);
	if (r == 0)
		repack->moves[repack->nmoves++] = *move;
	return r;
}

static int repack_page(struct repack *repack, uint64_t id, struct page_row *row)
{
	enum codec codec = repack->request->codec;
	struct move move;
	bool is_new = true;
	int r = 0;

	if (row->length == 0)
		r = fail_with(-EBADMSG, "it is missing or is not one");
	else if (row->codec == codec && !(codec != CODEC_LZ4 && row->length == PAGE_BYTES))
		return 0;
	else
		r = is_new_place(repack, row, &is_new);
	if (r == 0 && is_new)
		r = load(repack, id, row);
	if (r == -EBADMSG)
		return set_damaged(repack, id, row, r);
	if (r < 0 || !is_new)
		return r;
	move = (struct move){.from = *row, .to = {.hash = row->hash}};
	r = page_encode(codec, CODEC_THOROUGH, repack->plain, repack->packed, &move.to);
	/* LZ4 is for speed, and may grow; the others are for size */
	if (r < 0 || (codec != CODEC_LZ4 && move.to.length >= row->length))
		return r;
	r = writer_ready(repack);
	return r < 0 ? r : append(repack, &move);
}

/* Rows are fetched once the step before has moved what it moves. */
static int repack_ids(struct repack *repack, uint64_t first, uint64_t count)
{
	int r = 0;

	while (r == 0 && count > 0) {
		size_t n = MIN(count, (uint64_t)REPACK_ROWS);

		if (repack->nmoves + n > REPACK_STEP_PAGES)
			r = step_commit(repack);
		if (r == 0)
			r = rows_get(repack->index, first, n, true, repack->rows);
		for (size_t i = 0; r == 0 && i < n; i++)
			r = repack_page(repack, first + i, &repack->rows[i]);
		progress_add(repack->request->progress, n * PAGE_BYTES);
		first += n;
		count -= n;
	}
	return r;
}

/* So that what was said to be done is, whatever happens to the power. */
static int make_durable(struct repack *repack)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int r;

	if (repack->request->dry_run || repack->report.pages == 0)
		return 0;
	r = transaction_begin(repack->index, TRANSACTION_CATALOG, &open);
	return r < 0 ? r : transaction_commit(&open);
}

static int repack_layer(struct repack *repack)
{
	const struct map *map = snapshot_map(repack->snapshot, MAP_DIFF);
	int r = 0;

	progress_set_total(repack->request->progress,
			   snapshot_row(repack->snapshot)->layer_data * PAGE_BYTES);
	for (size_t i = 0; r == 0 && i < map->nruns; i++)
		if (map_run_kind(map, i) == RUN_DATA)
			r = repack_ids(repack, map_run(map, i).page,
				       map_run_end(map, i) - map_run_first(map, i));
	if (r == 0)
		r = step_commit(repack);
	if (r == 0)
		r = make_durable(repack);
	if (r == 0 && repack->report.damaged > 0)
		r = fail_with(-EBADMSG, "%" PRIu64 " damaged pages are left as they are: %s",
			      repack->report.damaged, repack->damage_text);
	return r;
}

/* Leased, sealed. */
static int source_open(struct repack *repack)
{
	struct snapshot_row row;
	int r = catalog_find(repack->index, repack->request->name, &row);

	if (r == 0 && row.state != SNAPSHOT_SEALED)
		return fail_with(-EINVAL, "'%s' is a draft: seal it first", repack->request->name);
	if (r == 0)
		r = snapshot_open(repack->index, row.id, &repack->snapshot);
	if (r == 0)
		r = pages_open(repack->index, &repack->pages);
	if (r == 0)
		r = places_new(&repack->seen);
	return r == 0 ? places_new(&repack->bad) : r;
}

int repack_snapshot(struct index *index, const struct repack_request *request,
		    struct repack_report *ret)
{
	AUTO(repack_free_at) struct repack *repack = calloc(1, sizeof(*repack));
	struct locks *locks = index_store(index)->locks;
	int r;

	*ret = (struct repack_report){0};
	if (!repack)
		return fail_with(-ENOMEM, "out of memory");
	repack->index = index;
	repack->request = request;
	r = source_open(repack);
	if (r == 0 && !request->dry_run)
		r = locks_take_collector(locks);
	if (r < 0)
		return r;
	r = repack_layer(repack);
	*ret = repack->report;
	if (!request->dry_run)
		locks_drop_collector(locks);
	return r;
}
