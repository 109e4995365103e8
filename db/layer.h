/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer being made of an image over a parent: windows go on to the appender but for
 * what is the parent's, and both digests and the counts of the snapshot come of it.
 *
 * Three kinds: a base, without a parent; an image over a parent, of which the layer
 * keeps what differs; a diff, of which it keeps what is no hole, whatever the parent
 * has there. One thread, with its index.
 */
#ifndef PAGODA_DB_LAYER_H
#define PAGODA_DB_LAYER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/appender.h"
#include "db/catalog.h"
#include "db/map.h"
#include "db/window.h"

struct layer;

struct layer_sums {
	uint64_t npages;     /* of the image */
	uint64_t data_pages; /* of the merged image */
	uint8_t digest[DIGEST_BYTES];
	uint8_t layer_digest[DIGEST_BYTES];
};

/* parent is the map of the merged image below, NULL for a base; is_diff wants one.
 * index, parent and appender are borrowed. */
int layer_new(struct index *index, const struct map *parent, bool is_diff,
	      struct appender *appender, struct layer **ret) MUST_CHECK;
void layer_free(struct layer *layer);
DEFINE_AUTO(struct layer *, layer_free)

/* The next window, in order and inside the parent. Errors of the appender and of
 * digest_add_map. */
int layer_add(struct layer *layer, const struct window *window) MUST_CHECK;

/* After the last window. */
void layer_finish(struct layer *layer, struct layer_sums *ret);

#endif
