/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/resolve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/digest.h"
#include "db/pending.h"
#include "db/sql.h"
#include "db/store.h"

/* Adds the extents of one layer. */
static int add_layer(struct index *index, struct map_builder *builder, uint32_t number, uint64_t id)
{
	static const char sql[] = "SELECT first, count, page FROM extent WHERE snapshot = ?1 "
				  "ORDER BY first";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	while ((r = sql_step(index, query)) > 0) {
		bool zero = sqlite3_column_type(query, 2) == SQLITE_NULL;
		uint64_t count = sql_column(query, 1);
		uint64_t page = sql_column(query, 2);

		if (!zero && (page == 0 || page > INT64_MAX - MIN(count, (uint64_t)INT64_MAX)))
			return fail_with(-EBADMSG, "a run of stored pages begins at %" PRIu64,
					 page);
		r = map_builder_add(builder, number, zero ? RUN_ZERO : RUN_DATA,
				    sql_column(query, 0), count, page);
		if (r < 0)
			return r;
	}
	return r;
}

/* The parent of a layer, 0 at the base; proves that it fits. */
static int parent_find(struct index *index, uint64_t id, uint64_t size, uint64_t *ret_parent)
{
	static const char sql[] = "SELECT c.parent, p.size, c.name, p.name FROM snapshot c "
				  "LEFT JOIN snapshot p ON p.id = c.parent WHERE c.id = ?1";
	AUTO_RESET sqlite3_stmt *query = NULL;
	const char *name;
	int r = sql_get(index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	r = sql_step(index, query);
	if (r <= 0)
		return r < 0 ? r : fail_with(-EBADMSG, "layer %" PRIu64 " is missing", id);
	if (sqlite3_column_type(query, 0) == SQLITE_NULL) {
		*ret_parent = 0;
		return 0;
	}
	name = (const char *)sqlite3_column_text(query, 2);
	if (sqlite3_column_type(query, 1) == SQLITE_NULL)
		return fail_with(-EBADMSG, "the parent of its layer '%.128s' is missing", name);
	if (sql_column(query, 1) != size)
		return fail_with(-EBADMSG, "its layers '%.128s' and '%.128s' differ in size", name,
				 (const char *)sqlite3_column_text(query, 3));
	*ret_parent = sql_column(query, 0);
	return 0;
}

static int fail_circle(struct index *index, uint64_t id)
{
	struct snapshot_row row;
	int r = catalog_find_id(index, id, &row);

	return r < 0 ? r : fail_with(-EBADMSG, "its layers go round in a circle at '%s'", row.name);
}

/* The ids of all layers, topmost first; the caller frees *ret. */
static int layers_find(struct index *index, const struct snapshot_row *row, uint64_t **ret,
		       size_t *ret_n)
{
	AUTO_FREE uint64_t *layers = NULL;
	size_t n = 0;
	uint64_t id = row->id;
	uint64_t mark = 0; /* a layer passed: the last whose number is a power of two */

	while (id != 0) {
		int r;

		if (id == mark)
			return fail_circle(index, id);
		if (n == LAYERS_MAX)
			return fail_with(-EBADMSG, "it has more than %d layers", LAYERS_MAX);
		if ((n & (n - 1)) == 0) { /* room for the next power of two */
			uint64_t *more = reallocarray(layers, n ? 2 * n : 1, sizeof(*layers));

			if (!more)
				return fail_with(-ENOMEM, "out of memory");
			layers = more;
			mark = id;
		}
		layers[n++] = id;
		r = parent_find(index, id, row->size, &id);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(layers);
	*ret_n = n;
	return 0;
}

int resolve_depth(struct index *index, const struct snapshot_row *row, size_t *ret)
{
	AUTO_FREE uint64_t *layers = NULL;
	bool begun;
	int r = sql_read_begin(index, &begun);

	if (r < 0)
		return r;
	r = layers_find(index, row, &layers, ret);
	sql_read_end(index, begun);
	return r;
}

static int build(struct index *index, const uint64_t *layers, size_t n, uint64_t npages,
		 bool absent_is_zero, struct map **ret)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	int r = map_builder_new(npages, &builder);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_layer(index, builder, (uint32_t)i, layers[i]);
	return r < 0 ? r : map_builder_finish(builder, absent_is_zero, ret);
}

/* Lays the pending pages of a draft over a map of its extents. */
static int lay_pending(const struct overlay *pending, struct map **map)
{
	AUTO(map_free_at) struct map *top = NULL;
	struct map *merged;
	int r = overlay_map(pending, (*map)->npages, &top);

	if (r == 0)
		r = map_lay_over(top, *map, 0, &merged);
	if (r < 0)
		return r;
	map_free(*map);
	*map = merged;
	return 0;
}

/* Nothing shows through from below, so that it is what is seen: a base. */
static bool is_whole(const struct map *layer)
{
	for (size_t i = 0; i < layer->nruns; i++)
		if (map_run_kind(layer, i) == RUN_ABSENT)
			return false;
	return true;
}

static int resolve_all(struct index *index, const struct snapshot_row *row, struct map **ret_mem,
		       struct map **ret_layer, uint64_t **ret_layers)
{
	AUTO(map_free_at) struct map *mem = NULL;
	AUTO(map_free_at) struct map *layer = NULL;
	AUTO(overlay_free_at) struct overlay *pending = NULL;
	AUTO_FREE uint64_t *layers = NULL;
	uint64_t npages = row->size / PAGE_BYTES;
	size_t n = 0;
	int r = layers_find(index, row, &layers, &n);

	if (r == 0)
		r = build(index, layers, 1, npages, false, &layer);
	if (r == 0 && n == 1 && is_whole(layer))
		mem = map_share(layer);
	else if (r == 0)
		r = build(index, layers, n, npages, true, &mem);
	if (r == 0 && row->state == SNAPSHOT_DRAFT)
		r = pending_load(index, row->id, npages, &pending);
	if (r == 0 && pending)
		r = lay_pending(pending, &mem);
	if (r == 0 && pending)
		r = lay_pending(pending, &layer);
	if (r < 0)
		return r;
	*ret_mem = TAKE_PTR(mem);
	*ret_layer = TAKE_PTR(layer);
	if (ret_layers)
		*ret_layers = TAKE_PTR(layers);
	return 0;
}

int resolve_maps(struct index *index, const struct snapshot_row *row, struct map **ret_mem,
		 struct map **ret_layer, uint64_t **ret_layers)
{
	bool begun;
	int r = sql_read_begin(index, &begun);

	if (r < 0)
		return r;
	r = resolve_all(index, row, ret_mem, ret_layer, ret_layers);
	sql_read_end(index, begun);
	return r;
}

static int resolve_own(struct index *index, uint64_t id, struct snapshot_row *ret_row,
		       struct map **ret_layer, struct overlay **ret_pending)
{
	AUTO(map_free_at) struct map *layer = NULL;
	struct snapshot_row row;
	int r = catalog_find_id(index, id, &row);

	if (r < 0)
		return r;
	if (row.state != SNAPSHOT_DRAFT) {
		*ret_row = row;
		*ret_layer = NULL;
		return 0;
	}
	if (row.parent == 0)
		return fail_with(-EBADMSG, "%s: a draft without a parent", row.name);
	r = build(index, &id, 1, row.size / PAGE_BYTES, false, &layer);
	if (r == 0)
		r = pending_load(index, id, row.size / PAGE_BYTES, ret_pending);
	if (r < 0)
		return fail_prefix(r, "%s", row.name);
	*ret_row = row;
	*ret_layer = TAKE_PTR(layer);
	return 0;
}

int resolve_draft(struct index *index, uint64_t id, struct snapshot_row *ret_row,
		  struct map **ret_layer, struct overlay **ret_pending)
{
	bool begun;
	int r = sql_read_begin(index, &begun);

	if (r < 0)
		return r;
	r = resolve_own(index, id, ret_row, ret_layer, ret_pending);
	sql_read_end(index, begun);
	return r;
}

static int prove_one(struct index *index, const char *what, const struct map *map,
		     const uint8_t digest[DIGEST_BYTES], uint64_t data)
{
	uint8_t found[DIGEST_BYTES];
	uint64_t found_data;
	int r = digest_map(index, map, found, &found_data);

	if (r < 0)
		return r;
	if (memcmp(found, digest, DIGEST_BYTES) != 0)
		return fail_with(-EBADMSG,
				 "%s is not what was sealed: the digest of its pages differs",
				 what);
	if (found_data != data)
		return fail_with(-EBADMSG, "%s has %" PRIu64 " pages of data, not %" PRIu64, what,
				 found_data, data);
	return 0;
}

static uint64_t count_zero(const struct map *map)
{
	uint64_t zero = 0;

	for (size_t i = 0; i < map->nruns; i++)
		if (map_run_kind(map, i) == RUN_ZERO)
			zero += map_run_end(map, i) - map_run_first(map, i);
	return zero;
}

int resolve_prove(struct index *index, const struct snapshot_row *row, const struct map *mem,
		  const struct map *layer)
{
	uint64_t zero = count_zero(layer);
	int r = prove_one(index, "its map", mem, row->digest, row->data_pages);

	/* a base is its only layer: the zero count shows that nothing is absent */
	if (r == 0 && row->parent == 0 && memcmp(row->digest, row->layer_digest, DIGEST_BYTES) != 0)
		r = fail_with(-EBADMSG, "its two digests differ, and it has no parent");
	else if (r == 0 && row->parent == 0 && row->data_pages != row->layer_data)
		r = fail_with(-EBADMSG, "its two counts of data differ, and it has no parent");
	else if (r == 0 && row->parent != 0)
		r = prove_one(index, "its layer", layer, row->layer_digest, row->layer_data);
	if (r == 0 && zero != row->layer_zero)
		r = fail_with(-EBADMSG, "its layer has %" PRIu64 " zero pages, not %" PRIu64, zero,
			      row->layer_zero);
	return r;
}

/* Rows of all stored pages of a map: their hashes are of no use without a digest. */
static int prove_rows(struct index *index, const struct map *map)
{
	static const char sql[] = "SELECT count(*) FROM page WHERE id BETWEEN ?1 AND ?2";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, sql, &query);

	for (size_t i = 0; r == 0 && i < map->nruns; i++) {
		const struct run run = map_run(map, i);
		uint64_t count = map_run_end(map, i) - run.first;

		if (run.kind != RUN_DATA)
			continue;
		sql_bind(query, 1, run.page);
		sql_bind(query, 2, run.page + count - 1);
		r = sql_step(index, query);
		if (r > 0)
			r = sql_column(query, 0) == count
				    ? 0
				    : fail_with(-EBADMSG,
						"rows of its pages from page %" PRIu64
						" on are missing",
						run.first);
		sqlite3_reset(query);
	}
	return r;
}

static int prove_count(const char *what, uint64_t found, uint64_t written)
{
	if (found == written)
		return 0;
	return fail_with(-EBADMSG, "it has %" PRIu64 " %s, not %" PRIu64, found, what, written);
}

int resolve_prove_draft(struct index *index, const struct snapshot_row *row)
{
	AUTO(map_free_at) struct map *mem = NULL;
	AUTO(map_free_at) struct map *layer = NULL;
	uint64_t npages = row->size / PAGE_BYTES;
	uint64_t zero;
	int r = resolve_maps(index, row, &mem, &layer, NULL);

	if (r == 0)
		r = prove_rows(index, layer);
	if (r < 0)
		return r;
	zero = count_zero(layer);
	r = prove_count("pages of data", map_count(mem, MAP_MEM, 0, npages), row->data_pages);
	if (r == 0)
		r = prove_count("zero pages in its layer", zero, row->layer_zero);
	if (r == 0)
		r = prove_count("pages of data in its layer",
				map_count(layer, MAP_DIFF, 0, npages) - zero, row->layer_data);
	return r;
}
