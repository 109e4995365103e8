/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void batch_init(struct batch *batch)
{
	*batch = (struct batch){0};
}

void batch_done(struct batch *batch)
{
	free(batch->faults);
	free(batch->runs);
	batch_init(batch);
}

/* Returns items, grown where they have no room for want of size bytes each (the
 * room doubles), or NULL. */
static void *with_room(void *items, size_t *room, size_t want, size_t size)
{
	size_t more = MAX(MAX(want, 2 * *room), (size_t)64);
	void *grown;

	if (items && want <= *room)
		return items;
	grown = reallocarray(items, more, size);
	if (grown)
		*room = more;
	return grown;
}

int batch_add(struct batch *batch, uint64_t va, uint64_t since_ns)
{
	struct fault *faults =
		with_room(batch->faults, &batch->faults_room, batch->nfaults + 1, sizeof(*faults));

	if (!faults)
		return -ENOMEM;
	batch->faults = faults;
	batch->faults[batch->nfaults++] = (struct fault){.va = va, .since_ns = since_ns};
	return 0;
}

static int by_address(const void *left, const void *right)
{
	const struct fault *a = left;
	const struct fault *b = right;

	if (a->va != b->va)
		return a->va > b->va ? 1 : -1;
	return (a->since_ns > b->since_ns) - (a->since_ns < b->since_ns);
}

/* Aligns the faults to their pages and leaves out those in no region. */
static void align(struct batch *batch, const struct regions *regions)
{
	size_t n = 0;

	batch->outside = 0;
	for (size_t i = 0; i < batch->nfaults; i++) {
		struct fault fault = batch->faults[i];
		const struct region *region = regions_find(regions, fault.va);

		if (!region) {
			batch->outside++;
			batch->outside_va = fault.va;
			continue;
		}
		fault.va = region_page(region, fault.va);
		batch->faults[n++] = fault;
	}
	batch->nfaults = n;
}

/* Leaves one fault a page, the one that has waited longest. */
static void unique(struct batch *batch)
{
	size_t n = 0;

	if (batch->nfaults > 1)
		qsort(batch->faults, batch->nfaults, sizeof(batch->faults[0]), by_address);
	for (size_t i = 0; i < batch->nfaults; i++)
		if (n == 0 || batch->faults[i].va != batch->faults[n - 1].va)
			batch->faults[n++] = batch->faults[i];
	batch->duplicates = batch->nfaults - n;
	batch->nfaults = n;
}

static enum run_kind kind_of(const struct page_states *pages, const struct region *region,
			     uint64_t va)
{
	uint64_t first = region_off(region, va) / REGIONS_PAGE;
	uint64_t count = region->page_size / REGIONS_PAGE;

	/* removed comes first: what the image says of such a page is history */
	if (bitmap_all(pages->removed, first, count))
		return RUN_REMOVED;
	return bitmap_all(pages->zero, first, count) ? RUN_ZERO : RUN_DATA;
}

static bool joins(const struct run *run, const struct region *region, uint64_t va,
		  enum run_kind kind)
{
	return run->va + run->len == va && run->va >= region->va && run->kind == kind &&
	       run->len + region->page_size <= BATCH_RUN_MOST;
}

static void run_extend(struct batch *batch, const struct page_states *pages,
		       const struct fault *fault)
{
	const struct region *region = regions_find(pages->regions, fault->va);
	enum run_kind kind = kind_of(pages, region, fault->va);
	struct run *last = batch->nruns ? &batch->runs[batch->nruns - 1] : NULL;

	if (last && joins(last, region, fault->va, kind)) {
		last->len += region->page_size;
		last->fresh += fault->waited ? 0 : region->page_size;
		last->since_ns = MIN(last->since_ns, (uint64_t)fault->since_ns);
		return;
	}
	batch->runs[batch->nruns++] = (struct run){
		.va = fault->va,
		.off = region_off(region, fault->va),
		.len = region->page_size,
		.page_size = region->page_size,
		.since_ns = fault->since_ns,
		.fresh = fault->waited ? 0 : region->page_size,
		.kind = kind,
	};
}

int batch_plan(struct batch *batch, const struct page_states *pages)
{
	struct run *runs = with_room(batch->runs, &batch->runs_room, batch->nfaults, sizeof(*runs));

	if (!runs)
		return -ENOMEM;
	batch->runs = runs;
	align(batch, pages->regions);
	unique(batch);
	batch->nruns = 0;
	for (size_t i = 0; i < batch->nfaults; i++)
		run_extend(batch, pages, &batch->faults[i]);
	batch->npages = batch->nfaults;
	batch->nfaults = 0;
	return 0;
}

void batch_keep(struct batch *batch, const struct run *run, uint64_t va)
{
	for (va = MAX(va, run_asked(run)); va < run_asked_end(run); va += run->page_size) {
		assert(batch->nfaults < batch->npages);
		batch->faults[batch->nfaults++] = (struct fault){
			.va = va, .since_ns = run->since_ns, .waited = run->fresh == 0};
	}
}

struct run batch_run_at(const struct page_states *pages, const struct region *region, uint64_t va,
			uint64_t most)
{
	uint64_t end = region->va + region->size;
	struct run run = {
		.va = va,
		.off = region_off(region, va),
		.len = region->page_size,
		.page_size = region->page_size,
		.kind = kind_of(pages, region, va),
	};

	while (run.len + region->page_size <= most && va + run.len < end &&
	       kind_of(pages, region, va + run.len) == run.kind)
		run.len += region->page_size;
	return run;
}

uint64_t batch_zeros_at(const struct page_states *pages, const struct region *region, uint64_t va)
{
	uint64_t first = region_off(region, va) / REGIONS_PAGE;
	uint64_t end = region_off(region, region->va) / REGIONS_PAGE + region->size / REGIONS_PAGE;
	uint64_t at = first;

	while (at < end) {
		const struct bitmap *map =
			bitmap_get(pages->removed, at) ? pages->removed : pages->zero;

		if (!bitmap_get(map, at))
			break;
		at += bitmap_run(map, at, end - at);
	}
	return (at - first) * REGIONS_PAGE;
}
