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
#include <string.h>
#include <xxhash.h>

#include "base/fail.h"
#include "db/attachment.h"
#include "db/check-private.h"
#include "db/damage-private.h"
#include "db/generation.h"
#include "db/lock.h"
#include "db/pages-private.h"
#include "db/resolve.h"
#include "db/snapshot.h"
#include "db/sql.h"
#include "db/store-private.h"

#define DRAFT_TRIES 4

void check_found(struct check *check, const char *snapshot, const char *format, ...)
{
	char text[FAIL_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	check->report.findings++;
	check->request->found(check->request->context, snapshot, text);
}

int check_found_error(struct check *check, const char *snapshot, int r)
{
	if (r != -EBADMSG)
		return r;
	check_found(check, snapshot, "%s", fail_text(r));
	return 0;
}

int check_found_in_index(struct check *check, int r)
{
	if (r == -EBADMSG)
		damage_add_index(check->request->damage);
	return check_found_error(check, "", r);
}

/* ... of a snapshot. */
static int found_snapshot_error(struct check *check, uint64_t id, const char *name, int r)
{
	int noted = r == -EBADMSG ? damage_add_snapshot(check->request->damage, id) : 0;

	return noted < 0 ? noted : check_found_error(check, name, r);
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
		check_found(check, "", "index.db: %s", text);
	}
	return check_found_in_index(check, r);
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
		return check_found_error(check, "", r);
	if ((uint64_t)held < written)
		check_found(check, "",
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
		check_found(check, "", "index.db: ids of table %s would be used a second time",
			    table);
	return check_found_error(check, "", r);
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
		r = check_found_error(check, row->name, r);
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
			   : check_found_in_index(check, r);
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
		check_found(check, "", "index.db: pack %" PRIu64 " has pages, but no row",
			    sql_column(query, 0));
	return check_found_error(check, "", r);
}

static int count_packs(struct check *check)
{
	int64_t packs;
	int r = sql_number(check->index, "SELECT count(*) FROM pack", 0, &packs);

	if (r == 0)
		check->report.packs = (uint64_t)packs;
	return check_found_error(check, "", r);
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
