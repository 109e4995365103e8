/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of places in packs, in memory. Private to db/; one thread.
 */
#ifndef PAGODA_DB_PLACES_H
#define PAGODA_DB_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

struct places;

int places_new(struct places **ret) MUST_CHECK;
void places_free(struct places *places);

/* *ret_new: it was not there before. -ENOMEM. pack is not 0. */
int places_add(struct places *places, uint32_t pack, uint64_t offset, bool *ret_new) MUST_CHECK;

/* Empties it; the memory is kept. */
void places_clear(struct places *places);

#endif
