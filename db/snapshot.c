/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/lock.h"
#include "db/map-cache.h"
#include "db/pack-cache.h"
#include "db/reader.h"
#include "db/resolve.h"
#include "db/store-private.h"

struct snapshot {
	struct store *store; /* borrowed */
	bool leased;
	struct snapshot_row row;
	bool unproved;
	struct maps *maps; /* sealed: in use, or NULL */
	/* Of a draft, as it was when it was opened, or not proved; owned. */
	struct map *mem;
	struct map *layer;
	struct overlay *pending;
};

static int maps_make(struct index *index, const struct snapshot_row *row, struct maps **ret)
{
	AUTO(map_free_at) struct map *mem = NULL;
	AUTO(map_free_at) struct map *layer = NULL;
	int r = resolve_maps(index, row, &mem, &layer, NULL);

	if (r == 0)
		r = resolve_prove(index, row, mem, layer);
	if (r == 0)
		r = maps_new(row->id, TAKE_PTR(mem), TAKE_PTR(layer), ret);
	return r;
}

static int maps_get(struct index *index, const struct snapshot_row *row, struct maps **ret)
{
	struct map_cache *cache = index_store(index)->map_cache;
	int r;

	*ret = map_cache_find(cache, row->id);
	if (*ret)
		return 0;
	r = maps_make(index, row, ret);
	if (r < 0)
		return r;
	*ret = map_cache_add(cache, *ret);
	return 0;
}

/* The extents of a draft, its pending pages over them, all over its parent. */
static int draft_fill(struct index *index, struct snapshot *snapshot)
{
	AUTO(map_free_at) struct map *stored = NULL;
	AUTO(map_free_at) struct map *top = NULL;
	struct snapshot_row parent;
	struct maps *below;
	int r = resolve_draft(index, snapshot->row.id, &snapshot->row, &stored, &snapshot->pending);

	if (r < 0 || !stored)
		return r;
	r = overlay_map(snapshot->pending, stored->npages, &top);
	if (r == 0)
		r = map_lay_over(top, stored, 0, &snapshot->layer);
	if (r == 0)
		r = catalog_find_id(index, snapshot->row.parent, &parent);
	if (r == 0 && (parent.size != snapshot->row.size || parent.state != SNAPSHOT_SEALED))
		r = fail_with(-EBADMSG, "its parent is of another size, or a draft itself");
	if (r == 0)
		r = maps_get(index, &parent, &below);
	if (r < 0)
		return r;
	r = map_lay_over(snapshot->layer, below->mem, 1, &snapshot->mem);
	map_cache_put(snapshot->store->map_cache, below);
	return r;
}

/* Only proved maps are for the cache. */
static int unproved_fill(struct index *index, struct snapshot *snapshot)
{
	snapshot->maps = map_cache_find(snapshot->store->map_cache, snapshot->row.id);
	if (snapshot->maps)
		return 0;
	snapshot->unproved = true;
	return resolve_maps(index, &snapshot->row, &snapshot->mem, &snapshot->layer, NULL);
}

static int open_as(struct index *index, uint64_t id, bool unproved, struct snapshot **ret)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	int r;

	if (!snapshot)
		return fail_with(-ENOMEM, "out of memory");
	snapshot->store = index_store(index);
	snapshot->row.id = id;
	r = locks_take_lease(snapshot->store->locks, id);
	if (r < 0)
		return r;
	snapshot->leased = true;
	r = catalog_find_id(index, id, &snapshot->row);
	if (r < 0)
		return r;
	if (snapshot->row.state == SNAPSHOT_DRAFT)
		r = draft_fill(index, snapshot);
	/* it may have been sealed since */
	if (r == 0 && snapshot->row.state == SNAPSHOT_SEALED && unproved)
		r = unproved_fill(index, snapshot);
	else if (r == 0 && snapshot->row.state == SNAPSHOT_SEALED)
		r = maps_get(index, &snapshot->row, &snapshot->maps);
	if (r < 0)
		return fail_prefix(r, "%s", snapshot->row.name);
	*ret = TAKE_PTR(snapshot);
	return 0;
}

int snapshot_open(struct index *index, uint64_t id, struct snapshot **ret)
{
	return open_as(index, id, false, ret);
}

int snapshot_open_unproved(struct index *index, uint64_t id, struct snapshot **ret)
{
	return open_as(index, id, true, ret);
}

int snapshot_prove(const struct snapshot *snapshot, struct index *index)
{
	int r = 0;

	if (snapshot->unproved)
		r = resolve_prove(index, &snapshot->row, snapshot->mem, snapshot->layer);
	return r < 0 ? fail_prefix(r, "%s", snapshot->row.name) : 0;
}

void snapshot_close(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	if (snapshot->maps)
		map_cache_put(snapshot->store->map_cache, snapshot->maps);
	map_free(snapshot->mem);
	map_free(snapshot->layer);
	overlay_free(snapshot->pending);
	/* packs of snapshots that nobody has open may be removed: their space is to
	 * come back, so none is kept open without need */
	if (snapshot->leased)
		pack_cache_trim(snapshot->store,
				!locks_drop_lease(snapshot->store->locks, snapshot->row.id));
	free(snapshot);
}

const struct snapshot_row *snapshot_row(const struct snapshot *snapshot)
{
	return &snapshot->row;
}

const struct map *snapshot_map(const struct snapshot *snapshot, enum map_view view)
{
	if (!snapshot->maps)
		return view == MAP_MEM ? snapshot->mem : snapshot->layer;
	return view == MAP_MEM ? snapshot->maps->mem : snapshot->maps->layer;
}

/* Whole pages: pgno .. pgno+count-1, inside the image. */
static int read_pages(const struct snapshot *snapshot, struct pages *pages, enum map_view view,
		      uint64_t pgno, uint64_t count, char *buf)
{
	int r = reader_read(snapshot_map(snapshot, view), snapshot->pending, pages, pgno, count,
			    buf);

	return r < 0 ? fail_prefix(r, "%s", snapshot->row.name) : 0;
}

/* len bytes inside one page. */
static int read_part(const struct snapshot *snapshot, struct pages *pages, enum map_view view,
		     uint64_t off, char *buf, size_t len)
{
	char page[PAGE_BYTES];
	int r = read_pages(snapshot, pages, view, off / PAGE_BYTES, 1, page);

	if (r == 0)
		memcpy(buf, page + off % PAGE_BYTES, len);
	return r;
}

int snapshot_read(const struct snapshot *snapshot, struct pages *pages, enum map_view view,
		  uint64_t off, void *buf, size_t len)
{
	char *to = buf;
	int r = 0;

	while (r == 0 && len > 0) {
		size_t within = off % PAGE_BYTES;
		size_t n;

		if (within != 0 || len < PAGE_BYTES) {
			n = MIN(len, PAGE_BYTES - within);
			r = read_part(snapshot, pages, view, off, to, n);
		} else {
			n = len - len % PAGE_BYTES;
			r = read_pages(snapshot, pages, view, off / PAGE_BYTES, n / PAGE_BYTES, to);
		}
		off += n;
		to += n;
		len -= n;
	}
	return r;
}

static const char *const kind_names[] = {
	[RUN_ABSENT] = "absent",
	[RUN_ZERO] = "zero",
	[RUN_DATA] = "data",
	[RUN_PENDING] = "data",
};

/* The name of a layer, looked up when it first comes up; names has an entry a layer. */
static int layer_name(struct index *index, const uint64_t *layers, char **names, uint32_t layer)
{
	struct snapshot_row row;
	int r;

	if (names[layer])
		return 0;
	r = catalog_find_id(index, layers[layer], &row);
	if (r < 0)
		return r;
	names[layer] = strdup(row.name);
	return names[layer] ? 0 : fail_with(-ENOMEM, "out of memory");
}

/* One line a run; runs of stored pages that only lie apart in the store are one. */
static int maps_print(struct index *index, const struct map *map, const uint64_t *layers,
		      char **names, FILE *out)
{
	size_t next;

	for (size_t i = 0; i < map->nruns; i = next) {
		const struct run run = map_run(map, i);
		int r = layer_name(index, layers, names, run.layer);

		if (r < 0)
			return r;
		for (next = i + 1; next < map->nruns; next++)
			if (kind_names[map_run_kind(map, next)] != kind_names[run.kind] ||
			    map_run(map, next).layer != run.layer)
				break;
		fprintf(out, "%012" PRIx64 "-%012" PRIx64 " %s %s\n", run.first * PAGE_BYTES,
			map_run_first(map, next) * PAGE_BYTES, kind_names[run.kind],
			names[run.layer]);
	}
	return 0;
}

static int maps_print_all(struct index *index, const struct map *map, const uint64_t *layers,
			  FILE *out)
{
	uint32_t nlayers = 0;
	char **names;
	int r;

	for (size_t i = 0; i < map->nruns; i++)
		nlayers = MAX(nlayers, map_run(map, i).layer + 1);
	names = calloc(nlayers, sizeof(*names));
	if (!names)
		return fail_with(-ENOMEM, "out of memory");
	r = maps_print(index, map, layers, names, out);
	for (uint32_t i = 0; i < nlayers; i++)
		free(names[i]);
	free(names);
	return r;
}

/* Without a lease the snapshot may be removed between two reads of the index: then
 * what was found, good or bad, says nothing. */
static int resolve_unleased(struct index *index, const struct snapshot_row *row,
			    struct map **ret_mem, struct map **ret_layer, uint64_t **ret_layers)
{
	struct snapshot_row again;
	int resolved = resolve_maps(index, row, ret_mem, ret_layer, ret_layers);
	int found = catalog_find_id(index, row->id, &again);

	return found == -ENOENT || resolved == 0 ? found : resolved;
}

int snapshot_maps_text(struct index *index, uint64_t id, char **ret_text, size_t *ret_len)
{
	AUTO(map_free_at) struct map *mem = NULL;
	AUTO(map_free_at) struct map *layer = NULL;
	AUTO_FREE uint64_t *layers = NULL;
	struct snapshot_row row;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int r = catalog_find_id(index, id, &row);

	if (r == 0)
		r = resolve_unleased(index, &row, &mem, &layer, &layers);
	if (r < 0)
		return r;
	out = open_memstream(&text, &len);
	if (!out)
		return fail_with(-ENOMEM, "out of memory");
	r = maps_print_all(index, mem, layers, out);
	if (fclose(out) != 0 && r == 0)
		r = fail_with(-ENOMEM, "out of memory");
	if (r < 0) {
		free(text);
		return r;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

bool snapshot_has_writer(struct index *index, const struct snapshot_row *row,
			 char text[SNAPSHOT_WRITER_MAX])
{
	_Static_assert(SNAPSHOT_WRITER_MAX == HOLDER_TEXT_MAX, "one is the other's text");

	return row->state == SNAPSHOT_DRAFT &&
	       locks_find_writer(index_store(index)->locks, row->id, text);
}
