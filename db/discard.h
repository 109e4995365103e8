/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a snapshot out of the index, and giving back what it alone used.
 *
 * Packs that a removed or cut-off import wrote, and of which nobody needs a page,
 * are dropped. Pages that others share stay, and the rest of their pack with them.
 */
#ifndef PAGODA_DB_DISCARD_H
#define PAGODA_DB_DISCARD_H

#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"

/* Takes the snapshot out, inside the caller's write transaction, and dooms its
 * packs. The caller holds the exclusive lease. */
int discard_snapshot(struct index *index, uint64_t id) MUST_CHECK;

/* Takes out imports that were cut off (no lease): their packs are doomed. */
int discard_cut_off(struct index *index) MUST_CHECK;

/* The last step of dropping a doomed pack, of which there is no row left: its file, then
 * its row. -ENOENT where another process has done so. */
int discard_drop_file(struct index *index, uint64_t pack) MUST_CHECK;

/* Takes out imports that were cut off (no lease), and drops packs nobody needs.
 * Outside of a transaction; it takes the writer lock for each step. Best effort: what
 * fails now, the next writer does. */
void discard_leftovers(struct index *index);

#endif
