/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An overlay: pages of an image that are newer than what lies below it.
 *
 * Pages with bytes are kept one by one, zero pages as intervals, so that zeroing
 * terabytes costs nothing. Pure: knows no SQL, files or locks; a struct overlay
 * that is being changed belongs to one thread at a time, one that no longer is may be
 * read by any number.
 */
#ifndef PAGODA_DB_OVERLAY_H
#define PAGODA_DB_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/map.h"

struct overlay;

int overlay_new(struct overlay **ret) MUST_CHECK;
void overlay_free(struct overlay *overlay);
DEFINE_AUTO(struct overlay *, overlay_free)

enum overlay_kind {
	OVERLAY_NONE, /* what lies below shows */
	OVERLAY_ZERO,
	OVERLAY_DATA,
};

/* What it has of a page; *ret_plain becomes the bytes of OVERLAY_DATA, valid until
 * the next change. */
enum overlay_kind overlay_find(const struct overlay *overlay, uint64_t pgno,
			       const void **ret_plain);

/* Puts a whole page. -ENOMEM: then nothing has changed. */
int overlay_put(struct overlay *overlay, uint64_t pgno, const void *plain) MUST_CHECK;

/* Changes len bytes inside a page that is OVERLAY_DATA. */
void overlay_patch(struct overlay *overlay, uint64_t pgno, size_t within, const void *buf,
		   size_t len);

/* Makes count pages zero. -ENOMEM: then nothing has changed. */
int overlay_zero(struct overlay *overlay, uint64_t first, uint64_t count) MUST_CHECK;

/* Moves what under has and over has not into over; under is empty then. -ENOMEM: a
 * part may have been moved; each page is still in one of the two. */
int overlay_take_under(struct overlay *over, struct overlay *under) MUST_CHECK;

/* Memory in pages: intervals count too. */
size_t overlay_cost(const struct overlay *overlay);

/* How many pages have bytes, and how many are zero. */
size_t overlay_data_pages(const struct overlay *overlay);
uint64_t overlay_zero_pages(const struct overlay *overlay);

static inline bool overlay_is_empty(const struct overlay *overlay)
{
	return overlay_cost(overlay) == 0;
}

/* All of it as a map of npages: RUN_PENDING for bytes, RUN_ZERO, RUN_ABSENT. */
int overlay_map(const struct overlay *overlay, uint64_t npages, struct map **ret) MUST_CHECK;

#endif
