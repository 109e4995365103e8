/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hashes the store may have, for an import: most pages of an image that is new to
 * a store are not in it, and asking the index for each costs a tenth of importing it.
 *
 * A hint: what it does not know of is not looked up, and at worst stored once more. One
 * import, any of its threads.
 */
#ifndef PAGODA_DB_KNOWN_H
#define PAGODA_DB_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"

struct known;

/* For an image of npages, 0 where that is not known. Reads all hashes of the store where
 * it has at most as many; else it may have any. */
int known_new(struct index *index, uint64_t npages, struct known **ret) MUST_CHECK;
void known_free(struct known *known);

/* May the store have a page of that hash? From now on it may. */
bool known_meet(struct known *known, uint64_t hash);

#endif
