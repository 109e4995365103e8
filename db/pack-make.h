/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new pack: its row in the index, then its file.
 *
 * Private to db/. Outside of a transaction; takes the writer lock for a moment.
 */
#ifndef PAGODA_DB_PACK_MAKE_H
#define PAGODA_DB_PACK_MAKE_H

#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"
#include "db/pack.h"

/* maker is the snapshot whose pages it will hold; 0 where those that remain are of
 * snapshots long gone. The caller keeps the writer open, and the pack locked by it,
 * until the rows of all its blocks are committed. */
int pack_make(struct index *index, uint64_t maker, struct pack_writer **ret) MUST_CHECK;

#endif
