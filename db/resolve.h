/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolving a snapshot: its layers' extents become maps, and their proof.
 */
#ifndef PAGODA_DB_RESOLVE_H
#define PAGODA_DB_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/catalog.h"
#include "db/index.h"
#include "db/map.h"
#include "db/overlay.h"

#define LAYERS_MAX 10000

/* The maps of the merged image and of the top layer alone; of a draft with its
 * pending pages (RUN_PENDING), all in one read transaction. ret_layers, if not
 * NULL, becomes the ids of the layers, topmost first, which runs refer to by
 * number; the caller frees it. -EBADMSG for extents outside the image, layers
 * that loop, miss a parent or disagree on size. */
int resolve_maps(struct index *index, const struct snapshot_row *row, struct map **ret_mem,
		 struct map **ret_layer, uint64_t **ret_layers) MUST_CHECK;

/* How many layers the snapshot has, itself included. Errors of resolve_maps. */
int resolve_depth(struct index *index, const struct snapshot_row *row, size_t *ret) MUST_CHECK;

/* A draft in one read transaction: its row, the map of its extents, and its pending
 * pages, which lie over them. Where it is sealed by now, *ret_layer becomes NULL and
 * only the row is filled. -ENOENT, -EBADMSG. */
int resolve_draft(struct index *index, uint64_t id, struct snapshot_row *ret_row,
		  struct map **ret_layer, struct overlay **ret_pending) MUST_CHECK;

/* Are these the maps that were sealed? -EBADMSG if a digest or a count says no. */
int resolve_prove(struct index *index, const struct snapshot_row *row, const struct map *mem,
		  const struct map *layer) MUST_CHECK;

/* Are the rows of a draft what they should be? Its own pages are there, its pending
 * ones are what was written, and the counts in its row are right. -EBADMSG. */
int resolve_prove_draft(struct index *index, const struct snapshot_row *row) MUST_CHECK;

#endif
