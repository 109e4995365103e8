/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the layer of a draft: what its extents, its pending pages and the counts
 * in its row become, together.
 *
 * All calls but new and free are made inside a write transaction, by the holder of
 * the draft's write lease, between begin and end; a transaction
 * that is not committed leaves nothing behind. A struct layer_edit is used by one thread. Private
 * to db/.
 */
#ifndef PAGODA_DB_LAYER_EDIT_H
#define PAGODA_DB_LAYER_EDIT_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/index.h"
#include "db/map.h"

struct layer_edit;

/* Of draft id, on an image whose merged map is parent (borrowed). index is borrowed. */
int layer_edit_new(struct index *index, uint64_t id, const struct map *parent,
		   struct layer_edit **ret) MUST_CHECK;
void layer_edit_free(struct layer_edit *edit);
DEFINE_AUTO(struct layer_edit *, layer_edit_free)

void layer_edit_begin(struct layer_edit *edit);

/* count pages from first on become those stored from row page on, or zero pages
 * where page is 0. What covered them, extents and pending pages, is split or goes.
 * -EBADMSG where the extents are damaged. */
int layer_edit_run(struct layer_edit *edit, uint64_t first, uint64_t count,
		   uint64_t page) MUST_CHECK;

/* One page becomes these bytes, in table pending; NULL: zero. */
int layer_edit_pending(struct layer_edit *edit, uint64_t pgno, const void *plain) MUST_CHECK;

/* Writes the counts: last, before the commit. stored is what the transaction added
 * to packs. version and now_ns (wall clock): of the change. */
struct layer_edit_stored {
	uint64_t pages;
	uint64_t bytes;
};
int layer_edit_end(struct layer_edit *edit, const struct layer_edit_stored *stored,
		   uint64_t version, uint64_t now_ns) MUST_CHECK;

#endif
