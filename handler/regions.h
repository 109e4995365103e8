/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The regions of a machine's memory: which addresses of its process stand for
 * which bytes of the image.
 *
 * A table is filled from a hand-over (nothing in it is trusted), then checked
 * once; the other functions want a checked table. It holds no pointers, since
 * it lives in memory that keeper and worker share. Pure functions, one thread.
 *
 * va: bytes, an address in the machine's process. off: bytes, a place in the
 * image. Ranges are [start, end).
 */
#ifndef PAGODA_HANDLER_REGIONS_H
#define PAGODA_HANDLER_REGIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define REGIONS_MOST 1024
#define REGIONS_PAGE 4096		      /* what bitmaps and images count in */
#define REGIONS_HUGE_PAGE (UINT64_C(2) << 20) /* the one huge page size we serve */

struct region {
	uint64_t va;
	uint64_t size;
	uint64_t off;
	uint64_t page_size; /* unit in which the kernel installs memory here */
};

struct regions {
	uint64_t n;
	struct region at[REGIONS_MOST]; /* by va once checked */
};

/* Checks and sorts: page sizes, alignment, wrap, kernel addresses, overlap in
 * memory and in the image, and that together they are the image, image_size
 * bytes. -EINVAL with fail_with() text that names the region and what is wrong. */
int regions_check(struct regions *regions, uint64_t image_size) MUST_CHECK;

/* The region that holds va, or NULL. */
const struct region *regions_find(const struct regions *regions, uint64_t va);

/* The first region that ends after va (regions follow it by va), or NULL. */
const struct region *regions_from(const struct regions *regions, uint64_t va);

/* One past the last region. */
const struct region *regions_end(const struct regions *regions);

/* Bytes of the largest page of any region. */
uint64_t regions_page_largest(const struct regions *regions);

/* The part of [start, end) in the region, rounded inwards to its pages: returns
 * its length and sets *ret_va, or returns 0. */
uint64_t region_clip(const struct region *region, uint64_t start, uint64_t end, uint64_t *ret_va);

static inline uint64_t region_off(const struct region *region, uint64_t va)
{
	return region->off + (va - region->va);
}

/* The start of the page that holds va. */
static inline uint64_t region_page(const struct region *region, uint64_t va)
{
	return va & ~(region->page_size - 1);
}

#endif
