/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a snapshot out of the index, and giving back what it alone used.
 *
 * Packs that a removed or cut-off import wrote, and of which nobody else uses a
 * page, are doomed in the same transaction; their rows then go in short steps,
 * last the file. Pages that others share stay.
 */
#ifndef PAGODA_DB_DISCARD_H
#define PAGODA_DB_DISCARD_H

#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"

/* Takes the snapshot out, inside the caller's write transaction, and dooms its
 * packs where it can. The caller holds the exclusive lease. */
int discard_snapshot(struct index *index, uint64_t id) MUST_CHECK;

/* Takes out imports that were cut off (no lease), and drops doomed packs. Outside
 * of a transaction; it takes the writer lock for each step. */
int discard_leftovers(struct index *index) MUST_CHECK;

#endif
