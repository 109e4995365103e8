/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digests are made from what was read, not from what was written: so the first
 * open, which computes them from the index, proves that the two are the same. Only
 * where a diff has a hole nothing was read, and the parent's rows say what is there.
 */
#include "config.h"

#include "db/layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/digest.h"
#include "db/store.h"

struct layer {
	struct index *index;	   /* borrowed */
	const struct map *parent;  /* borrowed; NULL for a base */
	struct appender *appender; /* borrowed */
	bool is_diff;
	struct digest *mem; /* owned: of the merged image */
	struct digest *own; /* owned: of this layer alone; NULL for a base, where it is mem */
	uint64_t npages;
	uint64_t data_pages;
};

int layer_new(struct index *index, const struct map *parent, bool is_diff,
	      struct appender *appender, struct layer **ret)
{
	AUTO(layer_free_at) struct layer *layer = calloc(1, sizeof(*layer));
	int r;

	if (!layer)
		return fail_with(-ENOMEM, "out of memory");
	layer->index = index;
	layer->parent = parent;
	layer->is_diff = is_diff;
	layer->appender = appender;
	r = digest_new(&layer->mem);
	if (r == 0 && parent)
		r = digest_new(&layer->own);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(layer);
	return 0;
}

void layer_free(struct layer *layer)
{
	if (!layer)
		return;
	digest_free(layer->mem);
	digest_free(layer->own);
	free(layer);
}

static void add_own(struct layer *layer, enum run_kind kind, uint64_t count, uint64_t hash)
{
	if (!layer->own)
		return;
	if (kind == RUN_DATA)
		digest_add_data(layer->own, hash);
	else
		digest_add_run(layer->own, kind, count);
}

static void add_page(struct layer *layer, uint64_t pgno, const struct window_page *page)
{
	uint64_t hash = page->row.hash;
	bool zero = page->kind == PAGE_ZERO;

	if (page->kind == PAGE_SAME) /* what it holds is what the parent says */
		zero = map_run_kind(layer->parent, map_find(layer->parent, pgno)) != RUN_DATA;
	if (zero)
		digest_add_run(layer->mem, RUN_ZERO, 1);
	else
		digest_add_data(layer->mem, hash);
	add_own(layer, page->kind == PAGE_SAME ? RUN_ABSENT : zero ? RUN_ZERO : RUN_DATA, 1, hash);
	layer->data_pages += !zero;
}

static int add_zero(struct layer *layer, uint64_t first, uint64_t count)
{
	digest_add_run(layer->mem, RUN_ZERO, count);
	add_own(layer, RUN_ZERO, count, 0);
	return appender_add_zero(layer->appender, first, count);
}

/* A hole of an image over a parent: zero pages, most of which the parent has too. */
static int add_hole(struct layer *layer, uint64_t first, uint64_t count)
{
	const struct map *map = layer->parent;
	uint64_t end = first + count;
	int r = 0;

	for (size_t i = map_find(map, first); r == 0 && first < end; i++) {
		uint64_t n = MIN(map_run_end(map, i), end) - first;

		if (map_run_kind(map, i) == RUN_DATA) {
			r = add_zero(layer, first, n);
		} else {
			digest_add_run(layer->mem, RUN_ZERO, n);
			add_own(layer, RUN_ABSENT, n, 0);
		}
		first += n;
	}
	return r;
}

/* A hole of a diff: unchanged. */
static int add_unchanged(struct layer *layer, uint64_t first, uint64_t count)
{
	add_own(layer, RUN_ABSENT, count, 0);
	return digest_add_map(layer->mem, layer->index, layer->parent, first, count,
			      &layer->data_pages);
}

static int add_window(struct layer *layer, const struct window *window)
{
	const struct image_window *span = &window->span;
	size_t n;
	int r = 0;

	for (size_t i = 0; r == 0 && i < span->npages; i += n) {
		n = 1;
		if (window->pages[i].kind != PAGE_UNCHANGED) {
			add_page(layer, span->first + i, &window->pages[i]);
			continue;
		}
		while (i + n < span->npages && window->pages[i + n].kind == PAGE_UNCHANGED)
			n++;
		r = add_unchanged(layer, span->first + i, n);
	}
	return r < 0 ? r : appender_add(layer->appender, window);
}

int layer_add(struct layer *layer, const struct window *window)
{
	const struct image_window *span = &window->span;

	layer->npages += span->npages;
	if (span->hole && layer->is_diff)
		return add_unchanged(layer, span->first, span->npages);
	if (span->hole && layer->parent)
		return add_hole(layer, span->first, span->npages);
	if (span->hole)
		return add_zero(layer, span->first, span->npages);
	return add_window(layer, window);
}

void layer_finish(struct layer *layer, struct layer_sums *ret)
{
	uint64_t size = layer->npages * PAGE_BYTES;

	ret->npages = layer->npages;
	ret->data_pages = layer->data_pages;
	digest_finish(layer->mem, size, ret->digest);
	if (layer->own)
		digest_finish(layer->own, size, ret->layer_digest);
	else
		memcpy(ret->layer_digest, ret->digest, DIGEST_BYTES);
}
