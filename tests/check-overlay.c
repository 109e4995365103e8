/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An overlay against a plain array of what each page is.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "db/overlay.h"
#include "db/store.h"
#include "tests/chance.h"
#include "tests/unit.h"

#define PAGES 300

/* 0: nothing, 1: zero, else the byte its page is filled with. */
static unsigned char wanted[PAGES];
static struct overlay *overlay;

static void setup(void)
{
	memset(wanted, 0, sizeof(wanted));
	ck_assert_int_eq(overlay_new(&overlay), 0);
}

static void put(uint64_t pgno, unsigned char byte)
{
	char page[PAGE_BYTES];

	memset(page, byte, sizeof(page));
	ck_assert_int_eq(overlay_put(overlay, pgno, page), 0);
	wanted[pgno] = byte;
}

static void zero(uint64_t first, uint64_t count)
{
	ck_assert_int_eq(overlay_zero(overlay, first, count), 0);
	memset(wanted + first, 1, count);
}

static void check_page(uint64_t pgno)
{
	const void *plain = NULL;
	enum overlay_kind kind = overlay_find(overlay, pgno, &plain);
	char page[PAGE_BYTES];

	ck_assert_int_eq(kind, wanted[pgno] == 0   ? OVERLAY_NONE
			       : wanted[pgno] == 1 ? OVERLAY_ZERO
						   : OVERLAY_DATA);
	memset(page, wanted[pgno], sizeof(page));
	if (kind == OVERLAY_DATA)
		ck_assert_mem_eq(plain, page, PAGE_BYTES);
}

static void check_map(void)
{
	static const enum run_kind kinds[] = {RUN_ABSENT, RUN_ZERO, RUN_PENDING};
	struct map *map;

	ck_assert_int_eq(overlay_map(overlay, PAGES, &map), 0);
	for (uint64_t i = 0; i < PAGES; i++) {
		const struct run run = map_run(map, map_find(map, i));

		ck_assert_int_eq(run.kind, kinds[wanted[i] > 1 ? 2 : wanted[i]]);
		ck_assert_uint_eq(run.layer, 0);
	}
	map_free(map);
}

static void check_all(void)
{
	uint64_t data = 0;
	uint64_t zeros = 0;

	for (uint64_t i = 0; i < PAGES; i++) {
		check_page(i);
		data += wanted[i] > 1;
		zeros += wanted[i] == 1;
	}
	ck_assert_uint_eq(overlay_data_pages(overlay), data);
	ck_assert_uint_eq(overlay_zero_pages(overlay), zeros);
	ck_assert_int_eq(overlay_is_empty(overlay), data + zeros == 0);
	check_map();
}

START_TEST(zero_hides_pages_and_pages_hide_zero)
{
	setup();
	check_all();
	put(7, 'a');
	zero(5, 5);
	check_all();
	put(7, 'b');
	check_all();
	overlay_patch(overlay, 7, 10, "xyz", 3);
	wanted[7] = 0;
	zero(0, PAGES);
	check_all();
	overlay_free(overlay);
}
END_TEST

START_TEST(random_changes)
{
	unsigned int seed = (unsigned int)chance_seed();

	for (int round = 0; round < 20; round++) {
		setup();
		for (int i = 0; i < 200; i++) {
			uint64_t first = (uint64_t)rand_r(&seed) % PAGES;
			uint64_t count = 1 + (uint64_t)rand_r(&seed) % 20;

			if (rand_r(&seed) % 3)
				put(first, (unsigned char)(2 + rand_r(&seed) % 250));
			else
				zero(first, count > PAGES - first ? PAGES - first : count);
			if (i % 20 == 0)
				check_all();
		}
		check_all();
		overlay_free(overlay);
	}
}
END_TEST

START_TEST(what_is_under_goes_where_nothing_is_over)
{
	unsigned int seed = 3;

	for (int round = 0; round < 50; round++) {
		unsigned char below[PAGES];
		struct overlay *under;

		setup();
		for (int i = 0; i < 60; i++) {
			put((uint64_t)rand_r(&seed) % PAGES, 'u');
			zero((uint64_t)rand_r(&seed) % (PAGES - 9),
			     1 + (uint64_t)rand_r(&seed) % 9);
		}
		under = overlay;
		memcpy(below, wanted, sizeof(below));
		setup();
		for (int i = 0; i < 40; i++) {
			put((uint64_t)rand_r(&seed) % PAGES, 'o');
			zero((uint64_t)rand_r(&seed) % (PAGES - 9),
			     1 + (uint64_t)rand_r(&seed) % 9);
		}
		ck_assert_int_eq(overlay_take_under(overlay, under), 0);
		ck_assert(overlay_is_empty(under));
		for (int i = 0; i < PAGES; i++)
			wanted[i] = wanted[i] ? wanted[i] : below[i];
		check_all();
		overlay_free(under);
		overlay_free(overlay);
	}
}
END_TEST

START_TEST(terabytes_of_zero_cost_nothing)
{
	uint64_t pages = UINT64_C(1) << 32;
	const void *plain;

	setup();
	ck_assert_int_eq(overlay_zero(overlay, 0, pages), 0);
	put(5, 'x');
	ck_assert_uint_eq(overlay_cost(overlay), 2);
	ck_assert_uint_eq(overlay_zero_pages(overlay), pages - 1);
	ck_assert_int_eq(overlay_find(overlay, pages - 1, &plain), OVERLAY_ZERO);
	ck_assert_int_eq(overlay_find(overlay, pages, &plain), OVERLAY_NONE);
	overlay_free(overlay);
}
END_TEST

UNIT_MAIN("overlay", zero_hides_pages_and_pages_hide_zero, random_changes,
	  what_is_under_goes_where_nothing_is_over, terabytes_of_zero_cost_nothing)
