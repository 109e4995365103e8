/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy:
 *
 *   match    the layers, from the base up, and which of them the other store has; names
 *            of the others must be free there (copy-match.c)
 *   begin    an invisible row (state importing) for each, under an exclusive lease
 *   fill     runs of the layer: zeros as they are, data by windows through the appender
 *   prove    the new layer's map, from the other index, against the digests from here
 *   seal     all of them in one transaction
 */
#include "config.h"

#include "db/copy-private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "db/appender.h"
#include "db/attachment-private.h"
#include "db/attachment.h"
#include "db/discard.h"
#include "db/lock.h"
#include "db/pages.h"
#include "db/resolve.h"
#include "db/snapshot.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"
#include "db/window.h"

static int check_stores(const struct copy *copy)
{
	struct stat from;
	struct stat to;

	if (stat(index_store(copy->from)->index_path, &from) < 0 ||
	    stat(index_store(copy->to)->index_path, &to) < 0)
		return fail_with(-errno, "the stores: %s", strerror(errno));
	if (from.st_dev == to.st_dev && from.st_ino == to.st_ino)
		return fail_with(-EINVAL, "%s is the same store",
				 store_path(index_store(copy->to)));
	if (!store_is_writable(index_store(copy->to)))
		return fail_with(-EROFS, "%s cannot be written by this user or here",
				 store_path(index_store(copy->to)));
	return 0;
}

static int row_insert(struct copy *copy, const struct copy_layer *layer,
		      const struct snapshot_row *row, uint64_t parent)
{
	static const char sql[] = "INSERT INTO snapshot (name, parent, size, page_size, state, "
				  "created_ns, note) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)";
	AUTO_RESET sqlite3_stmt *insert = NULL;
	int r = sql_get(copy->to, sql, &insert);

	if (r < 0)
		return r;
	sqlite3_bind_text(insert, 1, copy_name_there(copy, layer, row), -1, SQLITE_STATIC);
	if (parent)
		sql_bind(insert, 2, parent);
	sql_bind(insert, 3, row->size);
	sql_bind(insert, 4, PAGE_BYTES);
	sql_bind(insert, 5, row->created_ns);
	sqlite3_bind_text(insert, 6, row->note, -1, SQLITE_STATIC);
	return sql_run(copy->to, insert);
}

/* The invisible row there, leased. */
static int layer_begin(struct copy *copy, struct copy_layer *layer, const struct snapshot_row *row,
		       uint64_t parent)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct locks *locks = index_store(copy->to)->locks;
	uint64_t id;
	int r = transaction_begin(copy->to, TRANSACTION_STEP, &open);

	if (r == 0)
		r = copy_check_name(copy, layer, row);
	if (r == 0)
		r = row_insert(copy, layer, row, parent);
	if (r < 0)
		return r;
	id = (uint64_t)sqlite3_last_insert_rowid(index_db(copy->to));
	/* a new id: nobody holds it, so this waits for nothing */
	r = locks_take_exclusive(locks, id, 0);
	if (r < 0)
		return r;
	r = transaction_commit(&open);
	if (r < 0)
		locks_drop_lease(locks, id);
	else
		layer->new_id = id;
	return r;
}

/* One window of data of the layer. */
static int copy_window(struct copy *copy, const struct snapshot *snapshot,
		       struct appender *appender, uint64_t first, uint64_t count)
{
	struct window *window = copy->window;
	int r;

	window->span = (struct image_window){.first = first, .npages = count};
	r = snapshot_read(snapshot, copy->pages, MAP_DIFF, first * PAGE_BYTES, window->plain,
			  count * PAGE_BYTES);
	if (r == 0)
		r = window_classify(window, copy->to, copy->others, NULL, NULL,
				    copy->request->codec);
	if (r == 0)
		r = appender_add(appender, window);
	progress_add(copy->request->progress, count * PAGE_BYTES);
	return r;
}

static int copy_runs(struct copy *copy, const struct snapshot *snapshot, struct appender *appender)
{
	const struct map *map = snapshot_map(snapshot, MAP_DIFF);
	int r = 0;

	for (size_t i = 0; r == 0 && i < map->nruns; i++) {
		uint64_t first = map_run_first(map, i);
		uint64_t end = map_run_end(map, i);

		if (map_run_kind(map, i) == RUN_ZERO)
			r = appender_add_zero(appender, first, end - first);
		while (r == 0 && map_run_kind(map, i) == RUN_DATA && first < end) {
			uint64_t n = MIN(end - first, (uint64_t)WINDOW_PAGES);

			r = copy_window(copy, snapshot, appender, first, n);
			first += n;
		}
	}
	return r;
}

/* Attachments go to the invisible row, each in a transaction of its own. */
static int copy_attachment(struct copy *copy, const struct copy_layer *layer, const char *name)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	AUTO_FREE void *data = NULL;
	size_t len = 0;
	int r = attachment_read(copy->from, layer->id, name, &data, &len);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = transaction_begin(copy->to, TRANSACTION_STEP, &open);
	if (r == 0)
		r = attachment_put(copy->to, layer->new_id, name, data, len);
	return r < 0 ? r : transaction_commit(&open);
}

/* What was written there, by the index there, is what was sealed here. */
static int layer_prove(struct copy *copy, const struct copy_layer *layer,
		       const struct snapshot_row *row, uint64_t parent)
{
	AUTO(map_free_at) struct map *mem = NULL;
	AUTO(map_free_at) struct map *map = NULL;
	struct snapshot_row copied = *row;
	int r;

	copied.id = layer->new_id;
	copied.parent = parent;
	r = resolve_maps(copy->to, &copied, &mem, &map, NULL);
	if (r == 0)
		r = resolve_prove(copy->to, &copied, mem, map);
	return r < 0 ? fail_prefix(r, "the copy of '%s'", row->name) : 0;
}

static int layer_copy(struct copy *copy, struct copy_layer *layer, uint64_t parent)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	AUTO(appender_free_at) struct appender *appender = NULL;
	const struct snapshot_row *row;
	int r = snapshot_open(copy->from, layer->id, &snapshot);

	if (r < 0)
		return r;
	row = snapshot_row(snapshot);
	r = layer_begin(copy, layer, row, parent);
	if (r == 0)
		r = appender_new(copy->to, layer->new_id, copy->request->codec, &appender);
	if (r == 0)
		r = copy_runs(copy, snapshot, appender);
	if (r == 0)
		r = appender_finish(appender, &layer->totals);
	if (r == 0)
		r = copy_attachment(copy, layer, "vmstate");
	if (r == 0)
		r = copy_attachment(copy, layer, "workingset");
	return r < 0 ? r : layer_prove(copy, layer, row, parent);
}

static int layer_seal(struct copy *copy, const struct copy_layer *layer)
{
	static const char sql[] = "UPDATE snapshot SET state = 2, digest = ?2, layer_digest = ?3, "
				  "data_pages = ?4, layer_data = ?5, layer_zero = ?6, "
				  "stored_pages = ?7, stored_bytes = ?8 "
				  "WHERE id = ?1 AND state = 0";
	AUTO_RESET sqlite3_stmt *update = NULL;
	struct snapshot_row row;
	int r = catalog_find_id(copy->from, layer->id, &row);

	if (r == 0)
		r = sql_get(copy->to, sql, &update);
	if (r < 0)
		return r;
	sql_bind(update, 1, layer->new_id);
	sqlite3_bind_blob(update, 2, row.digest, DIGEST_BYTES, SQLITE_STATIC);
	sqlite3_bind_blob(update, 3, row.layer_digest, DIGEST_BYTES, SQLITE_STATIC);
	sql_bind(update, 4, row.data_pages);
	sql_bind(update, 5, row.layer_data);
	sql_bind(update, 6, row.layer_zero);
	sql_bind(update, 7, layer->totals.stored_pages);
	sql_bind(update, 8, layer->totals.stored_bytes);
	return sql_run(copy->to, update);
}

/* All at once: from then on they are listed, durably. */
static int seal_all(struct copy *copy, struct snapshot_row *ret_row)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	uint64_t top = copy->layers[copy->nlayers - 1].new_id;
	int r;

	if (copy->report.layers == 0)
		return catalog_find_id(copy->to, top, ret_row);
	r = transaction_begin(copy->to, TRANSACTION_CATALOG, &open);
	for (size_t i = 0; r == 0 && i < copy->nlayers; i++)
		if (!copy->layers[i].reused)
			r = layer_seal(copy, &copy->layers[i]);
	if (r == 0)
		r = catalog_find_id(copy->to, top, ret_row);
	return r < 0 ? r : transaction_commit(&open);
}

static int layers_copy(struct copy *copy)
{
	uint64_t parent = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < copy->nlayers; i++) {
		struct copy_layer *layer = &copy->layers[i];

		if (!layer->reused) {
			r = layer_copy(copy, layer, parent);
			copy->report.layers++;
			copy->report.stored_pages += layer->totals.stored_pages;
			copy->report.stored_bytes += layer->totals.stored_bytes;
		}
		parent = layer->new_id;
	}
	return r;
}

/* Takes out what a failed copy has made; what cannot be done now the next writer does. */
static void undo(struct copy *copy)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int r = transaction_begin(copy->to, TRANSACTION_CATALOG, &open);

	for (size_t i = 0; r == 0 && i < copy->nlayers; i++)
		if (copy->layers[i].new_id && !copy->layers[i].reused)
			r = discard_snapshot(copy->to, copy->layers[i].new_id);
	if (r == 0)
		r = transaction_commit(&open);
	(void)!r;
}

static void leases_drop(struct copy *copy)
{
	for (size_t i = 0; i < copy->nlayers; i++)
		if (copy->layers[i].new_id)
			locks_drop_lease(index_store(copy->to)->locks, copy->layers[i].new_id);
}

static void set_total(struct copy *copy)
{
	uint64_t pages = 0;
	struct snapshot_row row;

	for (size_t i = 0; i < copy->nlayers; i++)
		if (!copy->layers[i].reused &&
		    catalog_find_id(copy->from, copy->layers[i].id, &row) == 0)
			pages += row.layer_data;
	progress_set_total(copy->request->progress, pages * PAGE_BYTES);
}

/* With the lease on the snapshot here. */
static int run(struct copy *copy, uint64_t id, struct snapshot_row *ret_row)
{
	char text[FAIL_TEXT_MAX];
	int r = copy_match(copy, id);

	if (r == 0) {
		set_total(copy);
		r = layers_copy(copy);
		if (r == 0)
			r = seal_all(copy, ret_row);
		if (r < 0) {
			fail_copy(r, text);
			undo(copy);
			r = fail_with(r, "%s", text);
		}
	}
	leases_drop(copy);
	if (r < 0) {
		fail_copy(r, text);
		discard_leftovers(copy->to);
		r = fail_with(r, "%s", text);
	}
	return r;
}

static int open_and_run(struct copy *copy, struct snapshot_row *ret_row)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	struct snapshot_row row;
	int r = catalog_find(copy->from, copy->request->name, &row);

	if (r == 0 && row.state != SNAPSHOT_SEALED)
		r = fail_with(-EINVAL, "'%s' is a draft: seal it first", row.name);
	if (r == 0)
		r = snapshot_open(copy->from, row.id, &snapshot);
	if (r == 0)
		r = pages_open(copy->from, &copy->pages);
	if (r == 0)
		r = pages_open(copy->to, &copy->others);
	return r < 0 ? r : run(copy, row.id, ret_row);
}

int copy_snapshot(struct index *from, struct index *to, const struct copy_request *request,
		  struct copy_report *ret, struct snapshot_row *ret_row)
{
	struct copy copy = {.from = from, .to = to, .request = request};
	int r = request->new_name ? catalog_check_name(request->new_name) : 0;

	if (r == 0)
		r = check_stores(&copy);
	copy.window = malloc(sizeof(*copy.window));
	if (r == 0 && !copy.window)
		r = fail_with(-ENOMEM, "out of memory");
	if (r == 0) {
		discard_leftovers(to);
		r = open_and_run(&copy, ret_row);
	}
	if (r == 0)
		*ret = copy.report;
	pages_close(copy.pages);
	pages_close(copy.others);
	free(copy.window);
	free(copy.layers);
	return r;
}
