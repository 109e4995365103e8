/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/fork.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "db/attachment-private.h"
#include "db/attachment.h"
#include "db/catalog-private.h"
#include "db/digest.h"
#include "db/discard.h"
#include "db/draft-private.h"
#include "db/lock.h"
#include "db/resolve.h"
#include "db/sql.h"
#include "db/store.h"
#include "db/transaction.h"

/* ---- fork ---- */

static int row_insert(struct index *index, const struct snapshot_row *parent, const char *name)
{
	static const char sql[] =
		"INSERT INTO snapshot (name, parent, size, page_size, state, created_ns, data_pages) "
		"VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6)";
	uint64_t now = clock_wall_ns();
	sqlite3_stmt *insert;
	int r = sql_get(index, sql, &insert);

	if (r < 0)
		return r;
	sqlite3_bind_text(insert, 1, name, -1, SQLITE_STATIC);
	sql_bind(insert, 2, parent->id);
	sql_bind(insert, 3, parent->size);
	sql_bind(insert, 4, PAGE_BYTES);
	sql_bind(insert, 5, now);
	sql_bind(insert, 6, parent->data_pages);
	r = sql_run(index, insert);
	if (r < 0)
		return r;
	return catalog_put_changed(index, (uint64_t)sqlite3_last_insert_rowid(index_db(index)), 1,
				   now);
}

/* With one layer more it could be sealed, but never opened again. */
static int check_depth(struct index *index, const struct snapshot_row *parent)
{
	size_t depth;
	int r = resolve_depth(index, parent, &depth);

	if (r == 0 && depth == LAYERS_MAX)
		return fail_with(
			-EINVAL,
			"'%s' has %d layers, which is the most: export it, and import that "
			"without a parent",
			parent->name, LAYERS_MAX);
	return r < 0 ? fail_prefix(r, "%s", parent->name) : 0;
}

int fork_snapshot(struct index *index, const char *parent, const char *name,
		  struct snapshot_row *ret_row)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct snapshot_row row;
	int r = catalog_check_name(name);

	/* the row of the parent is read in the transaction: nobody removes it meanwhile,
	 * and from then on it has a child */
	if (r == 0)
		r = transaction_begin(index, TRANSACTION_CATALOG, &open);
	if (r == 0)
		r = catalog_find(index, parent, &row);
	if (r == 0 && row.state != SNAPSHOT_SEALED)
		r = fail_with(-EINVAL, "'%s' is a draft: pagoda seal %s first", parent, parent);
	if (r == 0)
		r = check_depth(index, &row);
	if (r == 0)
		r = catalog_check_free(index, name);
	if (r == 0)
		r = row_insert(index, &row, name);
	if (r == 0)
		r = catalog_find(index, name, &row);
	if (r == 0)
		r = transaction_commit(&open);
	if (r == 0)
		*ret_row = row;
	return r;
}

/* ---- seal ---- */

struct sums {
	uint8_t digest[DIGEST_BYTES];
	uint8_t layer_digest[DIGEST_BYTES];
	uint64_t data_pages;
	uint64_t layer_data;
	uint64_t layer_zero;
};

/* All is stored, and only we change it: the maps are those of the index. */
static int sums_make(struct draft *draft, struct sums *ret)
{
	const struct map *layer = draft->stored->layer;
	int r = digest_map(draft->index, draft->stored->mem, ret->digest, &ret->data_pages);

	if (r == 0)
		r = digest_map(draft->index, layer, ret->layer_digest, &ret->layer_data);
	if (r == 0) /* in a diff zero pages are data */
		ret->layer_zero = map_count(layer, MAP_DIFF, 0, layer->npages) - ret->layer_data;
	return r;
}

static int row_seal(struct draft *draft, const struct sums *sums)
{
	static const char sql[] =
		"UPDATE snapshot SET state = 2, digest = ?2, layer_digest = ?3, data_pages = ?4, "
		"layer_data = ?5, layer_zero = ?6, stored_pages = min(stored_pages, ?5) "
		"WHERE id = ?1 AND state = 1";
	AUTO_RESET sqlite3_stmt *update = NULL;
	int r = sql_get(draft->index, sql, &update);

	if (r < 0)
		return r;
	sql_bind(update, 1, draft->id);
	sqlite3_bind_blob(update, 2, sums->digest, DIGEST_BYTES, SQLITE_STATIC);
	sqlite3_bind_blob(update, 3, sums->layer_digest, DIGEST_BYTES, SQLITE_STATIC);
	sql_bind(update, 4, sums->data_pages);
	sql_bind(update, 5, sums->layer_data);
	sql_bind(update, 6, sums->layer_zero);
	r = sql_run(draft->index, update);
	if (r == 0 && sqlite3_changes(index_db(draft->index)) != 1)
		r = fail_with(-ESTALE, "it is no draft any more");
	return r;
}

/* The sums were made of the maps in memory; whoever opens the snapshot has the index.
 * What does not agree stays a draft, which can be written still. */
static int sums_prove(struct draft *draft, const struct sums *sums)
{
	AUTO(map_free_at) struct map *mem = NULL;
	AUTO(map_free_at) struct map *layer = NULL;
	struct snapshot_row row;
	int r = catalog_find_id(draft->index, draft->id, &row);

	if (r < 0)
		return r;
	row.state = SNAPSHOT_SEALED; /* nothing pending counts */
	memcpy(row.digest, sums->digest, DIGEST_BYTES);
	memcpy(row.layer_digest, sums->layer_digest, DIGEST_BYTES);
	row.data_pages = sums->data_pages;
	row.layer_data = sums->layer_data;
	row.layer_zero = sums->layer_zero;
	r = resolve_maps(draft->index, &row, &mem, &layer, NULL);
	if (r == 0)
		r = resolve_prove(draft->index, &row, mem, layer);
	return r < 0 ? fail_prefix(r, "what the index holds of it is not what was written") : 0;
}

/* What it has of its parent until now becomes its own. */
static int vmstate_own(struct draft *draft)
{
	AUTO_FREE void *data = NULL;
	size_t len;
	int r = attachment_read(draft->index, draft->id, "vmstate", &data, &len);

	if (r == 0)
		r = attachment_put(draft->index, draft->id, "vmstate", data, len);
	return r == -ENOENT ? 0 : r;
}

static int seal_locked(struct draft *draft, struct snapshot_row *ret_row)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct sums sums;
	int r = draft_store_locked(draft, true);

	if (r == 0)
		r = sums_make(draft, &sums);
	if (r == 0)
		r = sums_prove(draft, &sums);
	if (r == 0)
		r = transaction_begin(draft->index, TRANSACTION_CATALOG, &open);
	if (r == 0)
		r = vmstate_own(draft);
	if (r == 0)
		r = row_seal(draft, &sums);
	if (r == 0)
		r = catalog_find_id(draft->index, draft->id, ret_row);
	return r < 0 ? r : transaction_commit(&open);
}

int fork_seal(struct index *index, const char *name, struct snapshot_row *ret_row)
{
	struct drafts *drafts = NULL;
	struct draft *draft;
	struct snapshot_row row;
	char text[FAIL_TEXT_MAX];
	int r = catalog_find(index, name, &row);

	if (r == 0 && row.state != SNAPSHOT_DRAFT)
		r = fail_with(-EINVAL, "it is sealed already");
	if (r == 0)
		r = drafts_new(index_store(index), &drafts);
	if (r == 0)
		r = draft_open(drafts, index, row.id, true, LOCK_LEASE_WAIT_MS, &draft);
	if (r == 0) {
		pthread_mutex_lock(&draft->slow);
		r = seal_locked(draft, ret_row);
		pthread_mutex_unlock(&draft->slow);
		fail_copy(r, text);
		(void)!draft_close(draft, true);
		r = r < 0 ? fail_with(r, "%s", text) : 0;
	}
	fail_copy(r, text);
	(void)!drafts_free(drafts);
	return r < 0 ? fail_with(r, "%s", text) : 0;
}
