/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/regions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

/* No user address reaches this, with five levels of page tables either. */
#define ADDRESS_MOST (UINT64_C(1) << 56)

static int by_va(const void *left, const void *right)
{
	const struct region *a = left;
	const struct region *b = right;

	return (a->va > b->va) - (a->va < b->va);
}

static int by_off(const void *left, const void *right)
{
	const struct region *a = left;
	const struct region *b = right;

	return (a->off > b->off) - (a->off < b->off);
}

static int refuse(const struct region *region, const char *why)
{
	return fail_with(-EINVAL,
			 "region of %" PRIu64 " bytes at address 0x%" PRIx64 ", offset %" PRIu64
			 ": %s",
			 region->size, region->va, region->off, why);
}

static int check_one(const struct region *region)
{
	uint64_t mask = region->page_size - 1;

	if (region->page_size != REGIONS_PAGE && region->page_size != REGIONS_HUGE_PAGE)
		return fail_with(-EINVAL,
				 "region at address 0x%" PRIx64 ": a page size of %" PRIu64
				 " bytes is not served, only 4096 and 2097152",
				 region->va, region->page_size);
	if (region->size == 0)
		return refuse(region, "is empty");
	if ((region->va & mask) || (region->size & mask))
		return refuse(region, "is not aligned to its page size");
	if (region->off % REGIONS_PAGE)
		return refuse(region, "its offset is not a multiple of 4096");
	if (region->va >= ADDRESS_MOST || region->size > ADDRESS_MOST - region->va)
		return refuse(region, "is not in the address space of a process");
	return 0;
}

/* Sorted by offset, each region must begin where the one before it ended. */
static int check_offsets(const struct regions *regions, uint64_t image_size)
{
	struct region sorted[REGIONS_MOST];
	uint64_t end = 0;

	memcpy(sorted, regions->at, regions->n * sizeof(sorted[0]));
	qsort(sorted, regions->n, sizeof(sorted[0]), by_off);
	for (uint64_t i = 0; i < regions->n; i++) {
		if (sorted[i].off < end)
			return refuse(&sorted[i], "overlaps another one in the image");
		if (sorted[i].off > end)
			return refuse(&sorted[i], "leaves a gap in the image before it");
		if (sorted[i].size > image_size - end)
			return refuse(&sorted[i], "reaches beyond the end of the image");
		end += sorted[i].size;
	}
	if (end != image_size)
		return fail_with(-EINVAL,
				 "the regions add up to %" PRIu64 " bytes, the image has %" PRIu64,
				 end, image_size);
	return 0;
}

int regions_check(struct regions *regions, uint64_t image_size)
{
	int r;

	if (regions->n == 0)
		return fail_with(-EINVAL, "there are no regions");
	for (uint64_t i = 0; i < regions->n; i++) {
		r = check_one(&regions->at[i]);
		if (r < 0)
			return r;
	}
	r = check_offsets(regions, image_size);
	if (r < 0)
		return r;
	qsort(regions->at, regions->n, sizeof(regions->at[0]), by_va);
	for (uint64_t i = 1; i < regions->n; i++) {
		const struct region *before = &regions->at[i - 1];

		if (regions->at[i].va - before->va < before->size)
			return refuse(&regions->at[i], "overlaps another one in memory");
	}
	return 0;
}

const struct region *regions_end(const struct regions *regions)
{
	return regions->at + regions->n;
}

const struct region *regions_from(const struct regions *regions, uint64_t va)
{
	size_t low = 0;
	size_t high = regions->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct region *region = &regions->at[middle];

		if (region->va + region->size <= va)
			low = middle + 1;
		else
			high = middle;
	}
	return low < regions->n ? &regions->at[low] : NULL;
}

const struct region *regions_find(const struct regions *regions, uint64_t va)
{
	const struct region *region = regions_from(regions, va);

	return region && region->va <= va ? region : NULL;
}

uint64_t regions_page_largest(const struct regions *regions)
{
	uint64_t largest = REGIONS_PAGE;

	for (const struct region *r = regions->at; r < regions_end(regions); r++)
		largest = MAX(largest, r->page_size);
	return largest;
}

uint64_t region_clip(const struct region *region, uint64_t start, uint64_t end, uint64_t *ret_va)
{
	uint64_t last = MIN(end, region->va + region->size);
	uint64_t first = MAX(start, region->va);

	if (first >= last)
		return 0;
	/* inwards: a page of which only a part is meant keeps its contents */
	first = region_page(region, first + region->page_size - 1);
	last = region_page(region, last);
	if (first >= last)
		return 0;
	*ret_va = first;
	return last - first;
}
