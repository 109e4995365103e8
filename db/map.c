/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps are merged by sweeping: the runs of a layer come in order and become a list that
 * covers the image. Two lists are walked once, and the lower one shows only where the
 * upper one has RUN_ABSENT. This is associative, so lists are merged as a merge sort
 * does: the builder keeps lists of ever fewer layers from the top down, and two of as
 * many layers become one. So N runs in L layers cost N log L steps when the snapshot is
 * opened, and nothing at read time.
 */
#include "config.h"

#include "db/map.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/store.h"

#define LISTS_MAX 33 /* of 2^32 layers */

/* Covers 0..npages, without the end mark. */
struct run_list {
	struct run *runs; /* owned */
	size_t n;
	size_t room;
	unsigned int rank; /* of 2^rank layers */
};

struct map_builder {
	uint64_t npages;
	uint32_t layer;		/* of the list `adding` */
	uint64_t next;		/* first page the next run of this layer may have */
	struct run_list adding; /* the layer being added */
	size_t nlists;
	struct run_list lists[LISTS_MAX]; /* of the layers before, topmost first */
};

static bool continues(const struct run *last, const struct run *run)
{
	return last->kind == run->kind && last->layer == run->layer &&
	       (run->kind != RUN_DATA || last->page + (run->first - last->first) == run->page);
}

/* Appends a run; a run that only continues the last one is not kept. */
static int list_append(struct run_list *list, struct run run)
{
	if (list->n > 0 && continues(&list->runs[list->n - 1], &run))
		return 0;
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		struct run *runs = reallocarray(list->runs, room, sizeof(*runs));

		if (!runs)
			return fail_with(-ENOMEM, "out of memory for a map of %zu runs", room);
		list->runs = runs;
		list->room = room;
	}
	list->runs[list->n++] = run;
	return 0;
}

/* It is of no layer, so that neighbours of several are one run. */
static struct run absent_run(uint64_t first)
{
	return (struct run){.first = first, .kind = RUN_ABSENT};
}

int map_builder_new(uint64_t npages, struct map_builder **ret)
{
	struct map_builder *b = calloc(1, sizeof(*b));

	assert(npages <= MAP_NPAGES_MAX);
	if (!b)
		return fail_with(-ENOMEM, "out of memory");
	b->npages = npages;
	*ret = b;
	return 0;
}

void map_builder_free(struct map_builder *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->nlists; i++)
		free(b->lists[i].runs);
	free(b->adding.runs);
	free(b);
}

static uint64_t list_end(const struct run_list *list, size_t i, uint64_t npages)
{
	return i + 1 < list->n ? list->runs[i + 1].first : npages;
}

/* The part of run that begins at pgno. */
static struct run run_from(struct run run, uint64_t pgno)
{
	if (run.kind == RUN_DATA)
		run.page += pgno - run.first;
	run.first = pgno;
	return run;
}

/* Becomes upper what upper and lower show; lower is freed. On failure both stay. */
static int merge(struct run_list *upper, struct run_list *lower, uint64_t npages)
{
	/* a step ends a run of at least one of them */
	struct run_list out = {.rank = upper->rank + 1, .room = upper->n + lower->n};
	size_t over = 0;
	size_t under = 0;

	out.runs = reallocarray(NULL, out.room, sizeof(*out.runs));
	if (!out.runs)
		return fail_with(-ENOMEM, "out of memory for a map of %zu runs", out.room);
	for (uint64_t at = 0; at < npages;) {
		uint64_t over_end = list_end(upper, over, npages);
		uint64_t under_end = list_end(lower, under, npages);
		const struct run *top = &upper->runs[over];
		struct run run = run_from(top->kind == RUN_ABSENT ? lower->runs[under] : *top, at);

		if (out.n == 0 || !continues(&out.runs[out.n - 1], &run))
			out.runs[out.n++] = run;
		at = MIN(over_end, under_end);
		over += at == over_end;
		under += at == under_end;
	}
	free(upper->runs);
	free(lower->runs);
	*upper = out;
	*lower = (struct run_list){0};
	return 0;
}

/* Merges the last two lists. */
static int merge_last(struct map_builder *b)
{
	int r = merge(&b->lists[b->nlists - 2], &b->lists[b->nlists - 1], b->npages);

	b->nlists -= r == 0;
	return r;
}

/* Closes the layer being added: its list goes below the others. */
static int layer_close(struct map_builder *b)
{
	int r = 0;

	if (b->adding.n > 0 && b->next < b->npages)
		r = list_append(&b->adding, absent_run(b->next));
	if (r < 0 || b->adding.n == 0)
		return r;
	b->lists[b->nlists++] = b->adding;
	b->adding = (struct run_list){0};
	b->next = 0;
	while (r == 0 && b->nlists > 1 &&
	       b->lists[b->nlists - 2].rank == b->lists[b->nlists - 1].rank)
		r = merge_last(b);
	return r;
}

int map_builder_add(struct map_builder *b, uint32_t layer, enum run_kind kind, uint64_t first,
		    uint64_t count, uint64_t page)
{
	int r = 0;

	if (layer != b->layer)
		r = layer_close(b);
	if (r < 0)
		return r;
	b->layer = layer;
	if (count == 0 || count > b->npages || first > b->npages - count)
		return fail_with(-EBADMSG,
				 "a run of %" PRIu64 " pages at page %" PRIu64
				 " is not inside an image of %" PRIu64 " pages",
				 count, first, b->npages);
	if (layer > MAP_LAYER_MAX || page > MAP_PAGE_MAX - (count - 1))
		return fail_with(-EBADMSG,
				 "a run of stored pages begins at %" PRIu64 ", in layer %" PRIu32,
				 page, layer);
	if (first < b->next)
		return fail_with(-EBADMSG, "two runs overlap at page %" PRIu64, first);
	if (first > b->next)
		r = list_append(&b->adding, absent_run(b->next));
	if (r == 0)
		r = list_append(&b->adding, (struct run){.first = first,
							 .page = kind == RUN_DATA ? page : 0,
							 .layer = layer,
							 .kind = kind});
	if (r == 0)
		b->next = first + count;
	return r;
}

static uint32_t high_of(const struct run *run)
{
	return run->layer | (uint32_t)(run->page >> 30) << 14;
}

static bool has_high(const struct run_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (high_of(&list->runs[i]) != 0)
			return true;
	return false;
}

/* NULL when out of memory. */
static struct map *map_new(uint64_t npages, size_t nruns, bool with_highs)
{
	struct map *map = calloc(1, sizeof(*map));
	uint32_t *words = reallocarray(NULL, nruns, (with_highs ? 3 : 2) * sizeof(*words));

	if (!map || !words) {
		free(map);
		free(words);
		return NULL;
	}
	map->npages = npages;
	map->nruns = nruns;
	map->firsts = words;
	map->lows = words + nruns;
	map->highs = with_highs ? words + 2 * nruns : NULL;
	map->owners = 1;
	return map;
}

/* The finished list as a map. Frees the list. */
static int list_finish(struct run_list *list, uint64_t npages, struct map **ret)
{
	struct map *map = map_new(npages, list->n, has_high(list));

	for (size_t i = 0; map && i < list->n; i++) {
		const struct run *run = &list->runs[i];

		map->firsts[i] = (uint32_t)run->first;
		map->lows[i] = (uint32_t)run->kind | (uint32_t)run->page << 2;
		if (map->highs)
			map->highs[i] = high_of(run);
	}
	free(list->runs);
	if (!map)
		return fail_with(-ENOMEM, "out of memory for a map of %zu runs", list->n);
	*ret = map;
	return 0;
}

int map_builder_finish(struct map_builder *b, bool absent_is_zero, struct map **ret)
{
	const struct run_list *merged = &b->lists[0];
	struct run_list out = {0};
	int r = layer_close(b);

	while (r == 0 && b->nlists > 1)
		r = merge_last(b);
	if (r == 0 && b->nlists == 0) /* no layer has anything */
		r = list_append(&out, absent_run(0));
	for (size_t i = 0; r == 0 && i < merged->n; i++) {
		struct run run = merged->runs[i];

		if (run.kind == RUN_ABSENT && absent_is_zero)
			run = (struct run){.first = run.first, .layer = b->layer, .kind = RUN_ZERO};
		r = list_append(&out, run);
	}
	if (r < 0) {
		free(out.runs);
		return r;
	}
	return list_finish(&out, b->npages, ret);
}

void map_flatten(struct map *map)
{
	for (size_t i = 0; map->highs && i < map->nruns; i++)
		map->highs[i] &= ~MAP_LAYER_MAX;
}

size_t map_bytes(const struct map *map)
{
	return sizeof(*map) + map->nruns * (map->highs ? 3 : 2) * sizeof(uint32_t);
}

struct map *map_share(struct map *map)
{
	atomic_fetch_add(&map->owners, 1);
	return map;
}

void map_free(struct map *map)
{
	if (!map || atomic_fetch_sub(&map->owners, 1) > 1)
		return;
	free(map->firsts);
	free(map);
}

size_t map_find(const struct map *map, uint64_t pgno)
{
	size_t low = 0;
	size_t high = map->nruns;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (map_run_first(map, middle) <= pgno)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int map_seek(const struct map *map, enum map_view view, uint64_t off, bool data, uint64_t *ret_off)
{
	uint64_t pgno = off / PAGE_BYTES;
	size_t i;

	if (pgno >= map->npages)
		return -ENXIO;
	for (i = map_find(map, pgno); i < map->nruns; i++)
		if (map_is_hole(map_run_kind(map, i), view) != data)
			break;
	if (i == map->nruns && data)
		return -ENXIO;
	*ret_off = MAX(off, map_run_first(map, i) * PAGE_BYTES);
	return 0;
}

int map_lay_over(const struct map *top, const struct map *under, uint32_t shift, struct map **ret)
{
	struct run_list out = {0};
	size_t over = 0;
	size_t below = 0;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < top->npages;) {
		uint64_t over_end = map_run_end(top, over);
		uint64_t below_end = map_run_end(under, below);
		struct run run = map_run(top, over);

		if (run.kind == RUN_ABSENT) {
			run = map_run(under, below);
			run.layer += run.kind == RUN_ABSENT ? 0 : shift;
		}
		r = list_append(&out, run_from(run, at));
		at = MIN(over_end, below_end);
		over += at == over_end;
		below += at == below_end;
	}
	if (r < 0) {
		free(out.runs);
		return r;
	}
	return list_finish(&out, top->npages, ret);
}

uint64_t map_count(const struct map *map, enum map_view view, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;
	uint64_t pages = 0;

	for (size_t i = map_find(map, first); i < map->nruns && map_run_first(map, i) < end; i++)
		if (!map_is_hole(map_run_kind(map, i), view))
			pages += MIN(end, map_run_end(map, i)) - MAX(first, map_run_first(map, i));
	return pages;
}
