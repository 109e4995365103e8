/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bit a page of the image: removed pages, pages that lie in holes.
 *
 * Pure functions over words that someone else owns (shared memory, a plain
 * allocation). Not synchronised: one writer, and readers in its thread. Indexes
 * beyond the bitmap are our own mistake (assert).
 */
#ifndef PAGODA_HANDLER_BITMAP_H
#define PAGODA_HANDLER_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bitmap {
	uint64_t *words; /* borrowed, bitmap_bytes(bits) bytes */
	uint64_t bits;
};

size_t bitmap_bytes(uint64_t bits);

bool bitmap_get(const struct bitmap *map, uint64_t bit);

/* Sets [first, first + count). */
void bitmap_set(struct bitmap *map, uint64_t first, uint64_t count);

/* How many bits from first on have the value that first has, at most most. */
uint64_t bitmap_run(const struct bitmap *map, uint64_t first, uint64_t most);

/* Whether every bit of [first, first + count) is set. */
bool bitmap_all(const struct bitmap *map, uint64_t first, uint64_t count);

#endif
