/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/bitmap.h"

#include <assert.h>

#include "base/attributes.h"

#define WORD_BITS 64

size_t bitmap_bytes(uint64_t bits)
{
	return (size_t)((bits + WORD_BITS - 1) / WORD_BITS) * sizeof(uint64_t);
}

bool bitmap_get(const struct bitmap *map, uint64_t bit)
{
	assert(bit < map->bits);
	return map->words[bit / WORD_BITS] >> (bit % WORD_BITS) & 1;
}

/* The bits [shift, shift + count) of a word; count is at least 1. */
static uint64_t word_mask(unsigned int shift, uint64_t count)
{
	return (UINT64_MAX >> (WORD_BITS - count)) << shift;
}

void bitmap_set(struct bitmap *map, uint64_t first, uint64_t count)
{
	assert(first <= map->bits && count <= map->bits - first);
	while (count > 0) {
		unsigned int shift = first % WORD_BITS;
		uint64_t n = MIN(count, (uint64_t)WORD_BITS - shift);

		map->words[first / WORD_BITS] |= word_mask(shift, n);
		first += n;
		count -= n;
	}
}

uint64_t bitmap_run(const struct bitmap *map, uint64_t first, uint64_t most)
{
	uint64_t flip = bitmap_get(map, first) ? UINT64_MAX : 0;
	uint64_t end = first + MIN(most, map->bits - first);
	uint64_t bit = first;

	while (bit < end) {
		/* a one is now a bit that differs from the first */
		uint64_t rest = (map->words[bit / WORD_BITS] ^ flip) >> (bit % WORD_BITS);

		if (rest) {
			bit += (unsigned int)__builtin_ctzll(rest);
			break;
		}
		bit += WORD_BITS - bit % WORD_BITS;
	}
	return MIN(bit, end) - first;
}

bool bitmap_all(const struct bitmap *map, uint64_t first, uint64_t count)
{
	return bitmap_get(map, first) && bitmap_run(map, first, count) == count;
}
