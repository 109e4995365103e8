/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps are merged by sweeping: the builder holds a finished list of runs from
 * the layers added so far, and the runs of the layer being added, which come in
 * order. When the next layer begins (or the map is finished) both lists are
 * walked once, and the new layer shows only where the older list has RUN_ABSENT.
 * So a chain of any depth costs one pass per layer, and nothing at read time.
 */
#include "config.h"

#include "db/map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/store.h"

struct run_list {
	struct run *runs; /* owned */
	size_t n;
	size_t room;
};

struct map_builder {
	uint64_t npages;
	uint32_t layer;		/* of the list `adding` */
	uint64_t next;		/* first page the next run of this layer may have */
	struct run_list merged; /* covers 0..npages, without the end mark */
	struct run_list adding; /* the same for the layer being added */
};

/* Appends a run; a run that only continues the last one is not kept. */
static int list_append(struct run_list *list, struct run run)
{
	if (list->n > 0) {
		const struct run *last = &list->runs[list->n - 1];

		if (last->kind == run.kind && last->layer == run.layer &&
		    (run.kind != RUN_DATA || last->page + (run.first - last->first) == run.page))
			return 0;
	}
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

static struct run absent_run(uint64_t first, uint32_t layer)
{
	return (struct run){.first = first, .layer = layer, .kind = RUN_ABSENT};
}

int map_builder_new(uint64_t npages, struct map_builder **ret)
{
	AUTO(map_builder_free_at) struct map_builder *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return fail_with(-ENOMEM, "out of memory");
	b->npages = npages;
	r = list_append(&b->merged, absent_run(0, 0));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(b);
	return 0;
}

void map_builder_free(struct map_builder *b)
{
	if (!b)
		return;
	free(b->merged.runs);
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

/* Closes the layer being added: what it has shows where merged is absent. */
static int merge_layer(struct map_builder *b)
{
	struct run_list out = {0};
	size_t over = 0;
	size_t under = 0;
	int r = 0;

	if (b->adding.n == 0)
		return 0;
	if (b->next < b->npages)
		r = list_append(&b->adding, absent_run(b->next, b->layer));
	for (uint64_t at = 0; r == 0 && at < b->npages;) {
		uint64_t over_end = list_end(&b->merged, over, b->npages);
		uint64_t under_end = list_end(&b->adding, under, b->npages);
		struct run top = b->merged.runs[over];
		struct run run = top.kind == RUN_ABSENT ? b->adding.runs[under] : top;

		if (run.kind == RUN_ABSENT)
			run = absent_run(run.first, 0);
		r = list_append(&out, run_from(run, at));
		at = MIN(over_end, under_end);
		over += at == over_end;
		under += at == under_end;
	}
	if (r < 0) {
		free(out.runs);
		return r;
	}
	free(b->merged.runs);
	b->merged = out;
	b->adding.n = 0;
	b->next = 0;
	return 0;
}

int map_builder_add(struct map_builder *b, uint32_t layer, enum run_kind kind, uint64_t first,
		    uint64_t count, uint64_t page)
{
	int r = 0;

	if (layer != b->layer)
		r = merge_layer(b);
	if (r < 0)
		return r;
	b->layer = layer;
	if (count == 0 || count > b->npages || first > b->npages - count)
		return fail_with(-EBADMSG,
				 "a run of %" PRIu64 " pages at page %" PRIu64
				 " is not inside an image of %" PRIu64 " pages",
				 count, first, b->npages);
	if (first < b->next)
		return fail_with(-EBADMSG, "two runs overlap at page %" PRIu64, first);
	if (first > b->next)
		r = list_append(&b->adding, absent_run(b->next, layer));
	if (r == 0)
		r = list_append(&b->adding, (struct run){.first = first,
							 .page = kind == RUN_DATA ? page : 0,
							 .layer = layer,
							 .kind = kind});
	if (r == 0)
		b->next = first + count;
	return r;
}

int map_builder_finish(struct map_builder *b, bool absent_is_zero, struct map **ret)
{
	AUTO(map_free_at) struct map *map = calloc(1, sizeof(*map));
	struct run_list out = {0};
	int r = map ? merge_layer(b) : fail_with(-ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < b->merged.n; i++) {
		struct run run = b->merged.runs[i];

		if (run.kind == RUN_ABSENT && absent_is_zero)
			run = (struct run){.first = run.first, .layer = b->layer, .kind = RUN_ZERO};
		r = list_append(&out, run);
	}
	if (r == 0) /* the end mark: a kind and layer of its own, so never merged away */
		r = list_append(
			&out,
			(struct run){.first = b->npages, .layer = UINT32_MAX, .kind = RUN_ABSENT});
	if (r < 0) {
		free(out.runs);
		return r;
	}
	map->npages = b->npages;
	map->nruns = out.n - 1;
	map->runs = out.runs;
	*ret = TAKE_PTR(map);
	return 0;
}

void map_free(struct map *map)
{
	if (!map)
		return;
	free(map->runs);
	free(map);
}

size_t map_find(const struct map *map, uint64_t pgno)
{
	size_t low = 0;
	size_t high = map->nruns;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (map->runs[middle].first <= pgno)
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
		if (map_is_hole(map->runs[i].kind, view) != data)
			break;
	if (i == map->nruns && data)
		return -ENXIO;
	*ret_off = MAX(off, map->runs[i].first * PAGE_BYTES);
	return 0;
}
