/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is proved, in this order; a finding does not stop what does not depend on it:
 *
 *   1. SQLite's own structure
 *   2. the generation (store_open has refused a store that lost commits; here once
 *      more, as it may have lost some since)
 *   3. no id can come a second time
 *   4. every page row lies in a pack that is there and long enough; with data, its
 *      bytes have its hash
 *   5. every snapshot: its row, its map and digests, its attachments; of a draft,
 *      which has no digests, that its rows are there, its pending pages and its counts
 *
 * Others may write meanwhile. A snapshot is leased while it is looked at; a page row
 * that seems damaged is read again, and passed over if it is gone, has moved, or
 * lies in a pack on its way out that nobody needs.
 */
#include "config.h"

#include "db/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/fail.h"
#include "db/attachment.h"
#include "db/check-run.h"
#include "db/damage-private.h"
#include "db/generation.h"
#include "db/lock.h"
#include "db/pack.h"
#include "db/pages-private.h"
#include "db/resolve.h"
#include "db/rows.h"
#include "db/snapshot.h"
#include "db/sql.h"
#include "db/store-private.h"

#define BATCH_ROWS 1024
#define PACK_SLOTS 64
#define DRAFT_TRIES 4

struct check {
	struct index *index; /* borrowed */
	struct pages *pages; /* owned */
	const struct check_request *request;
	struct check_report report;
	struct pack_state {
		uint32_t number; /* 0: none */
		uint64_t size;	 /* bytes; 0: the pack is not there or not what it should be */
		bool is_told;	 /* that */
		char text[128];	 /* why */
	} packs[PACK_SLOTS];	 /* those last looked at, by number */
	struct check_run run;	 /* of damaged pages, not told yet */
};

static void PRINTF_LIKE(3, 4)
	found(struct check *check, const char *snapshot, const char *format, ...)
{
	char text[FAIL_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	check->report.findings++;
	check->request->found(check->request->context, snapshot, text);
}

/* Damage is a finding and the proof goes on; any other error ends it. */
static int found_error(struct check *check, const char *snapshot, int r)
{
	if (r != -EBADMSG)
		return r;
	found(check, snapshot, "%s", fail_text(r));
	return 0;
}

/* ... of the index as a whole. */
static int found_index_error(struct check *check, int r)
{
	if (r == -EBADMSG)
		damage_add_index(check->request->damage);
	return found_error(check, "", r);
}

/* ... of a snapshot. */
static int found_snapshot_error(struct check *check, uint64_t id, const char *name, int r)
{
	int noted = r == -EBADMSG ? damage_add_snapshot(check->request->damage, id) : 0;

	return noted < 0 ? noted : found_error(check, name, r);
}

static int check_sqlite(struct check *check)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(check->index, "PRAGMA integrity_check(20)", &query);

	while (r >= 0 && (r = sql_step(check->index, query)) > 0) {
		const char *text = (const char *)sqlite3_column_text(query, 0);

		if (!text || strcmp(text, "ok") == 0)
			continue;
		damage_add_index(check->request->damage);
		found(check, "", "index.db: %s", text);
	}
	return found_index_error(check, r);
}

static int check_generation(struct check *check)
{
	struct store *store = index_store(check->index);
	uint8_t uuid[STORE_UUID_BYTES];
	uint64_t written;
	int64_t held;
	int r = generation_read(store->path, uuid, &written);

	if (r == 0)
		r = sql_number(check->index, "SELECT generation FROM store WHERE id = 1", 0, &held);
	if (r < 0)
		return found_error(check, "", r);
	if ((uint64_t)held < written)
		found(check, "",
		      "index.db has lost commits: it is at generation %" PRId64
		      ", the store was at %" PRIu64,
		      held, written);
	return 0;
}

static int check_sequence(struct check *check, const char *table, const char *sql)
{
	int64_t behind;
	int r = sql_number(check->index, sql, 0, &behind);

	if (r == 0 && behind)
		found(check, "", "index.db: ids of table %s would be used a second time", table);
	return found_error(check, "", r);
}

#define BEHIND(table)                                                                              \
	"SELECT coalesce((SELECT max(id) FROM " table "), 0) > "                                   \
	"coalesce((SELECT seq FROM sqlite_sequence WHERE name = '" table "'), 0)"

static int check_sequences(struct check *check)
{
	int r = check_sequence(check, "snapshot", BEHIND("snapshot"));

	if (r == 0)
		r = check_sequence(check, "page", BEHIND("page"));
	if (r == 0)
		r = check_sequence(check, "pack", BEHIND("pack"));
	return r == 0 ? check_sequence(check, "attachment", BEHIND("attachment")) : r;
}

/* Opens a pack for its header and size, when rows of it first come up. */
static int pack_look(struct check *check, uint32_t number, struct pack_state **ret)
{
	struct pack_state *state = &check->packs[number % PACK_SLOTS];
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	*ret = state;
	if (state->number == number)
		return 0;
	*state = (struct pack_state){.number = number};
	r = pack_open(index_store(check->index), number, &fd);
	if (r == -ENOENT)
		r = fail_with(-EBADMSG, "pack %" PRIu32 " is missing", number);
	if (r == -EBADMSG) {
		snprintf(state->text, sizeof(state->text), "%s", fail_text(r));
		return 0;
	}
	if (r == 0 && fstat(fd, &st) < 0)
		r = fail_with(-errno, "pack %" PRIu32 ": %s", number, strerror(errno));
	if (r == 0)
		state->size = (uint64_t)st.st_size;
	return r;
}

/* A page is best named by where a guest has it. */
static int place_find(struct check *check, uint64_t id, struct check_place *ret)
{
	static const char sql[] =
		"SELECT s.name, e.first + ?1 - e.page FROM extent e JOIN snapshot s "
		"ON s.id = e.snapshot WHERE e.page <= ?1 AND e.page + e.count > ?1 "
		"AND s.state != 0 LIMIT 1";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(check->index, sql, &query);

	*ret = (struct check_place){.row = id};
	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	r = sql_step(check->index, query);
	if (r > 0) {
		const char *name = (const char *)sqlite3_column_text(query, 0);

		snprintf(ret->snapshot, sizeof(ret->snapshot), "%s", name ? name : "");
		ret->pgno = sql_column(query, 1);
	}
	return MIN(r, 0);
}

static void tell_run(struct check *check)
{
	char text[FAIL_TEXT_MAX];

	if (check->run.count == 0)
		return;
	check_run_text(&check->run, text);
	found(check, check->run.first.snapshot, "%s", text);
	check->run.count = 0;
}

static int found_page(struct check *check, uint64_t id, const char *what)
{
	struct check_place place;
	int r = place_find(check, id, &place);

	if (r < 0 || check_run_add(&check->run, &place, what))
		return r;
	tell_run(check);
	(void)!check_run_add(&check->run, &place, what); /* an empty one takes it */
	return 0;
}

/* splitmix64: a sample that is the same for the same seed. */
static bool is_sampled(const struct check_request *request, uint64_t id)
{
	uint64_t x = id + request->seed * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (x ^ (x >> 31)) % 100 < request->read_percent;
}

/* Does the row still say so, and does anybody count on it? */
static int still_counts(struct check *check, uint64_t id, const struct page_row *row, bool *ret)
{
	static const char sql[] =
		"SELECT hash, pack, offset, length, "
		"coalesce((SELECT doomed FROM pack WHERE id = page.pack), 0) AND NOT EXISTS "
		"(SELECT 1 FROM extent WHERE page <= ?1 AND page + count > ?1) "
		"FROM page WHERE id = ?1";
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct page_row again;
	int r = sql_get(check->index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	r = sql_step(check->index, query);
	*ret = false;
	if (r <= 0)
		return r;
	again = rows_parse(query, 0);
	*ret = memcmp(&again, row, sizeof(again)) == 0 && !sql_column(query, 4);
	return 0;
}

/* What is wrong with the row: 0 and "" for nothing, or words in text. */
static int row_prove(struct check *check, uint64_t id, const struct page_row *row,
		     struct pack_state **ret_pack, char text[FAIL_TEXT_MAX])
{
	char plain[PAGE_BYTES];
	int r;

	text[0] = '\0';
	if (row->length == 0) {
		snprintf(text, FAIL_TEXT_MAX, "its row in the index is damaged");
		return 0;
	}
	r = pack_look(check, row->pack, ret_pack);
	if (r < 0)
		return r;
	if ((*ret_pack)->size == 0) {
		snprintf(text, FAIL_TEXT_MAX, "%s", (*ret_pack)->text);
		return 0;
	}
	if (row->offset + row->length > (*ret_pack)->size) {
		snprintf(text, FAIL_TEXT_MAX, "pack %" PRIu32 " is cut short at byte %" PRIu64,
			 row->pack, (*ret_pack)->size);
		return 0;
	}
	if (!is_sampled(check->request, id))
		return 0;
	check->report.pages_read++;
	progress_add(check->request->progress, PAGE_BYTES);
	r = pages_load(check->pages, row, plain);
	if (r == -EBADMSG || r == -ENOENT)
		fail_copy(r, text);
	else if (r < 0)
		return r;
	return 0;
}

static int check_row(struct check *check, uint64_t id, const struct page_row *row)
{
	struct pack_state *pack = NULL;
	char text[FAIL_TEXT_MAX];
	bool counts = false;
	int r = row_prove(check, id, row, &pack, text);

	check->report.pages++;
	if (r == 0 && text[0])
		r = still_counts(check, id, row, &counts);
	if (r < 0 || !counts)
		return r;
	r = damage_add_page(check->request->damage, id);
	if (r < 0)
		return r;
	if (!pack || pack->size > 0)
		return found_page(check, id, text);
	if (!pack->is_told) /* once for all the pages of it */
		found(check, "", "%s", text);
	pack->is_told = true;
	return 0;
}

struct row_batch {
	size_t n;
	uint64_t ids[BATCH_ROWS];
	struct page_row rows[BATCH_ROWS];
};

/* In batches, so that no read transaction lasts while packs are read. */
static int rows_fetch(struct check *check, uint64_t after, struct row_batch *batch)
{
	static const char sql[] =
		"SELECT id, hash, pack, offset, length FROM page WHERE id > ?1 "
		"AND NOT coalesce((SELECT doomed FROM pack WHERE id = page.pack), 0) "
		"ORDER BY id LIMIT ?2";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(check->index, sql, &query);

	batch->n = 0;
	if (r < 0)
		return r;
	sql_bind(query, 1, after);
	sql_bind(query, 2, BATCH_ROWS);
	while ((r = sql_step(check->index, query)) > 0) {
		uint64_t id = sql_column(query, 0);

		/* a damaged b-tree may come back to where it was, for ever */
		if (id <= after)
			return fail_with(-EBADMSG,
					 "index.db: page row %" PRIu64 " comes after row %" PRIu64
					 ": the rows behind it are not looked at",
					 id, after);
		after = id;
		batch->ids[batch->n] = id;
		batch->rows[batch->n++] = rows_parse(query, 1);
	}
	return r;
}

static int check_rows(struct check *check)
{
	AUTO_FREE struct row_batch *batch = malloc(sizeof(*batch));
	uint64_t after = 0;
	int r = batch ? 0 : fail_with(-ENOMEM, "out of memory");

	do {
		if (r == 0)
			r = rows_fetch(check, after, batch);
		for (size_t i = 0; r == 0 && i < batch->n; i++)
			r = check_row(check, batch->ids[i], &batch->rows[i]);
		if (r == 0 && batch->n > 0)
			after = batch->ids[batch->n - 1];
	} while (r == 0 && batch->n > 0);
	tell_run(check);
	return found_index_error(check, r);
}

static int check_attachments(struct check *check, const struct snapshot_row *row)
{
	static const char *const names[] = {"vmstate", "workingset", "changed"};
	const bool there[] = {row->has_vmstate, row->workingset_bytes > 0, row->version > 0};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		void *data;
		size_t len;
		int r = there[i] ? attachment_read(check->index, row->id, names[i], &data, &len)
				 : 0;

		if (there[i] && r == 0)
			free(data);
		if (r == -EBADMSG) {
			int noted =
				damage_add_attachment(check->request->damage, row->id, names[i]);

			if (noted < 0)
				return noted;
		}
		r = found_error(check, row->name, r);
		if (r < 0)
			return r;
	}
	return 0;
}

static int prove_sealed(struct check *check, const struct snapshot_row *row)
{
	AUTO(map_free_at) struct map *mem = NULL;
	AUTO(map_free_at) struct map *layer = NULL;
	int r = resolve_maps(check->index, row, &mem, &layer, NULL);

	return r == 0 ? resolve_prove(check->index, row, mem, layer) : r;
}

/* A draft may be written meanwhile: what is found is what it was, or it is looked at
 * again; one that never rests is left with its structure proved. */
static int prove_draft(struct check *check, const struct snapshot_row *row)
{
	struct snapshot_row before = *row;
	int r = 0;

	for (int tries = 0; tries < DRAFT_TRIES; tries++) {
		struct snapshot_row after;
		int found;

		r = resolve_prove_draft(check->index, &before);
		found = catalog_find_id(check->index, row->id, &after);
		if (found < 0)
			return found;
		if (after.version == before.version && after.state == before.state)
			return r;
		if (after.state == SNAPSHOT_SEALED)
			return prove_sealed(check, &after);
		before = after;
	}
	return 0;
}

/* With the lease on it. */
static int check_snapshot(struct check *check, const struct snapshot_row *row)
{
	int r = row->state == SNAPSHOT_SEALED ? prove_sealed(check, row) : prove_draft(check, row);

	check->report.snapshots++;
	if (r == -ENOENT)
		return r;
	r = found_snapshot_error(check, row->id, row->name, r);
	return r < 0 ? r : check_attachments(check, row);
}

/* One that is being removed is passed over. */
static int check_id(struct check *check, uint64_t id)
{
	struct locks *locks = index_store(check->index)->locks;
	struct snapshot_row row;
	int r = locks_take_lease(locks, id);

	if (r < 0)
		return r == -EBUSY ? 0 : r;
	r = catalog_find_id(check->index, id, &row);
	if (r == 0)
		r = check_snapshot(check, &row);
	locks_drop_lease(locks, id);
	return r == -ENOENT ? 0 : r;
}

static int check_snapshots(struct check *check)
{
	struct snapshot_row row = {0};
	int r;

	while ((r = catalog_next(check->index, row.id, &row)) == 0 || r == -EBADMSG) {
		if (r == 0)
			r = check_id(check, row.id);
		r = row.id ? found_snapshot_error(check, row.id, "", r)
			   : found_index_error(check, r);
		if (r < 0 || row.id == 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static int check_pack_rows(struct check *check)
{
	static const char sql[] =
		"SELECT DISTINCT pack FROM page EXCEPT SELECT id FROM pack LIMIT 20";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(check->index, sql, &query);

	while (r >= 0 && (r = sql_step(check->index, query)) > 0)
		found(check, "", "index.db: pack %" PRIu64 " has pages, but no row",
		      sql_column(query, 0));
	return found_error(check, "", r);
}

static int count_packs(struct check *check)
{
	int64_t packs;
	int r = sql_number(check->index, "SELECT count(*) FROM pack", 0, &packs);

	if (r == 0)
		check->report.packs = (uint64_t)packs;
	return found_error(check, "", r);
}

static void set_total(struct check *check)
{
	int64_t rows;

	if (check->request->read_percent > 0 &&
	    sql_number(check->index, "SELECT count(*) FROM page", 0, &rows) == 0)
		progress_set_total(check->request->progress, (uint64_t)rows * PAGE_BYTES / 100 *
								     check->request->read_percent);
}

int check_store(struct index *index, const struct check_request *request, struct check_report *ret)
{
	static int (*const proofs[])(struct check *) = {
		check_sqlite, check_generation, check_sequences, check_pack_rows,
		count_packs,  check_rows,	check_snapshots,
	};
	struct check check = {.index = index, .request = request};
	int r = pages_open(index, &check.pages);

	if (r == 0)
		set_total(&check);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(proofs); i++)
		r = proofs[i](&check);
	pages_close(check.pages);
	if (r == 0)
		*ret = check.report;
	return r;
}
