/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/copy-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/catalog-private.h"
#include "db/lock.h"
#include "db/resolve.h"
#include "db/sql.h"
#include "db/store-private.h"

static bool is_top(const struct copy *copy, const struct copy_layer *layer)
{
	return layer == &copy->layers[copy->nlayers - 1];
}

/* What the layer is called there. */
const char *copy_name_there(const struct copy *copy, const struct copy_layer *layer,
			    const struct snapshot_row *row)
{
	return is_top(copy, layer) && copy->request->new_name ? copy->request->new_name : row->name;
}

static void layers_reverse(struct copy *copy)
{
	for (size_t i = 0; i < copy->nlayers / 2; i++) {
		struct copy_layer layer = copy->layers[i];

		copy->layers[i] = copy->layers[copy->nlayers - 1 - i];
		copy->layers[copy->nlayers - 1 - i] = layer;
	}
}

/* With the lease on the top one, whose parents nobody removes. */
static int layers_list(struct copy *copy, uint64_t top)
{
	struct snapshot_row row;
	uint64_t id = top;

	while (id != 0) {
		size_t n = copy->nlayers;
		int r = catalog_find_id(copy->from, id, &row);

		if (r < 0)
			return r;
		if (n == LAYERS_MAX)
			return fail_with(-EBADMSG, "more than %d layers, or layers in a circle",
					 LAYERS_MAX);
		if ((n & (n - 1)) == 0) { /* room for the next power of two */
			struct copy_layer *more =
				reallocarray(copy->layers, n ? 2 * n : 1, sizeof(*more));

			if (!more)
				return fail_with(-ENOMEM, "out of memory");
			copy->layers = more;
		}
		copy->layers[copy->nlayers++] = (struct copy_layer){.id = id};
		id = row.parent;
	}
	layers_reverse(copy);
	return 0;
}

/* A snapshot there with these digests on that parent: the one of that name, if it is
 * one. -ENOENT without words. */
static int match_find(struct copy *copy, const struct snapshot_row *row, const char *name,
		      uint64_t parent, uint64_t *ret)
{
	static const char sql[] = "SELECT id FROM snapshot WHERE state = 2 AND digest = ?1 "
				  "AND layer_digest = ?2 AND size = ?3 "
				  "AND coalesce(parent, 0) = ?4 ORDER BY name != ?5, id LIMIT 1";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(copy->to, sql, &query);

	if (r < 0)
		return r;
	sqlite3_bind_blob(query, 1, row->digest, DIGEST_BYTES, SQLITE_STATIC);
	sqlite3_bind_blob(query, 2, row->layer_digest, DIGEST_BYTES, SQLITE_STATIC);
	sql_bind(query, 3, row->size);
	sql_bind(query, 4, parent);
	sqlite3_bind_text(query, 5, name, -1, SQLITE_STATIC);
	r = sql_step(copy->to, query);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = sql_column(query, 0);
	return 0;
}

/* Is it there under that name? What is asked for must have the name, a parent need not. */
static int match_try(struct copy *copy, struct copy_layer *layer, const struct snapshot_row *row,
		     uint64_t parent)
{
	struct locks *locks = index_store(copy->to)->locks;
	const char *name = copy_name_there(copy, layer, row);
	struct snapshot_row found;
	uint64_t id;
	int r = match_find(copy, row, name, parent, &id);

	if (r == 0)
		r = locks_take_lease(locks, id);
	if (r < 0)
		return r;
	r = catalog_find_id(copy->to, id, &found);
	if (r == 0 && is_top(copy, layer) && strcmp(found.name, name) != 0)
		r = -ENOENT;
	if (r < 0) {
		locks_drop_lease(locks, id);
		return r;
	}
	layer->new_id = id;
	layer->reused = true;
	copy->report.reused++;
	return 0;
}

int copy_check_name(struct copy *copy, const struct copy_layer *layer,
		    const struct snapshot_row *row)
{
	const char *name = copy_name_there(copy, layer, row);
	int r = catalog_check_free(copy->to, name);

	if (r != -EEXIST)
		return r;
	if (is_top(copy, layer))
		return fail_with(r,
				 "%s has another snapshot '%s': give the copy a name with --name",
				 store_path(index_store(copy->to)), name);
	return fail_with(r,
			 "%s has another snapshot '%s' than the one it builds on: rename one of "
			 "the two",
			 store_path(index_store(copy->to)), name);
}

/* On a layer that is not there nothing else is. */
static int layers_match(struct copy *copy)
{
	uint64_t parent = 0;
	bool matches = true;

	for (size_t i = 0; i < copy->nlayers; i++) {
		struct copy_layer *layer = &copy->layers[i];
		struct snapshot_row row;
		int r = catalog_find_id(copy->from, layer->id, &row);

		if (r == 0 && row.state != SNAPSHOT_SEALED)
			r = fail_with(-EINVAL, "'%s' is a draft: seal it first", row.name);
		if (r == 0)
			r = matches ? match_try(copy, layer, &row, parent) : -ENOENT;
		matches = r == 0;
		if (r == -ENOENT)
			r = copy_check_name(copy, layer, &row);
		if (r < 0)
			return r;
		parent = layer->new_id;
	}
	return 0;
}

int copy_match(struct copy *copy, uint64_t top)
{
	int r = layers_list(copy, top);

	return r < 0 ? r : layers_match(copy);
}
