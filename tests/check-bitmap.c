/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdint.h>
#include <string.h>

#include "handler/bitmap.h"
#include "tests/unit.h"

#define BITS 200

static uint64_t words[4];
static struct bitmap map = {.words = words, .bits = BITS};

START_TEST(sets_exactly_the_range)
{
	for (uint64_t first = 0; first <= BITS; first += 7) {
		for (uint64_t count = 0; count <= BITS - first; count += 3) {
			memset(words, 0, sizeof(words));
			bitmap_set(&map, first, count);
			for (uint64_t i = 0; i < BITS; i++)
				ck_assert_int_eq(bitmap_get(&map, i),
						 i >= first && i < first + count);
		}
	}
}
END_TEST

/* The same by looking at every bit. */
static uint64_t slow_run(uint64_t first, uint64_t most)
{
	uint64_t n = 0;

	while (n < most && first + n < BITS &&
	       bitmap_get(&map, first + n) == bitmap_get(&map, first))
		n++;
	return n;
}

START_TEST(finds_runs)
{
	srandom(1);
	for (int round = 0; round < 50; round++) {
		memset(words, 0, sizeof(words));
		for (int i = 0; i < 4; i++) {
			uint64_t first = (uint64_t)random() % BITS;

			bitmap_set(&map, first, (uint64_t)random() % (BITS - first + 1));
		}
		for (uint64_t i = 0; i < BITS; i++) {
			ck_assert_uint_eq(bitmap_run(&map, i, BITS), slow_run(i, BITS));
			ck_assert_uint_eq(bitmap_run(&map, i, 5), slow_run(i, 5));
		}
	}
}
END_TEST

START_TEST(knows_whether_all_are_set)
{
	memset(words, 0, sizeof(words));
	bitmap_set(&map, 60, 70);
	ck_assert(bitmap_all(&map, 60, 70));
	ck_assert(bitmap_all(&map, 61, 1));
	ck_assert(!bitmap_all(&map, 59, 70));
	ck_assert(!bitmap_all(&map, 60, 71));
	ck_assert(!bitmap_all(&map, 0, 10));
}
END_TEST

START_TEST(is_large_enough)
{
	ck_assert_uint_eq(bitmap_bytes(1), 8);
	ck_assert_uint_eq(bitmap_bytes(64), 8);
	ck_assert_uint_eq(bitmap_bytes(65), 16);
	/* 32 KiB for a GiB of pages */
	ck_assert_uint_eq(bitmap_bytes(262144), 32768);
}
END_TEST

UNIT_MAIN("bitmap", sets_exactly_the_range, finds_runs, knows_whether_all_are_set, is_large_enough)
