/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/fail.h"
#include "handler/regions.h"
#include "tests/unit.h"

#define P UINT64_C(4096)
#define H REGIONS_HUGE_PAGE
#define BASE UINT64_C(0x7f0000000000)

static struct regions table;

static int check(uint64_t image_size, size_t n, const struct region *regions)
{
	table.n = n;
	memcpy(table.at, regions, n * sizeof(regions[0]));
	return regions_check(&table, image_size);
}

#define CHECK(size_, ...)                                                                          \
	check(size_, sizeof((struct region[]){__VA_ARGS__}) / sizeof(struct region),               \
	      (struct region[]){__VA_ARGS__})

/* Refused, and for the reason we think. */
#define REFUSED(words_, ...)                                                                       \
	do {                                                                                       \
		ck_assert_int_eq(__VA_ARGS__, -EINVAL);                                            \
		ck_assert_msg(strstr(fail_text(-EINVAL), words_), "%s", fail_text(-EINVAL));       \
	} while (0)

START_TEST(takes_regions_in_any_order)
{
	ck_assert_int_eq(CHECK(4 * P, {BASE + 8 * P, 2 * P, 0, P}, {BASE, P, 3 * P, P},
			       {BASE + 4 * P, P, 2 * P, P}),
			 0);
	ck_assert_uint_eq(table.at[0].va, BASE);
	ck_assert_uint_eq(table.at[1].va, BASE + 4 * P);
	ck_assert_uint_eq(table.at[2].va, BASE + 8 * P);
	/* adjoining in memory, and small beside huge pages */
	ck_assert_int_eq(CHECK(2 * P, {BASE, P, 0, P}, {BASE + P, P, P, P}), 0);
	ck_assert_int_eq(CHECK(P + 2 * H, {BASE, P, 0, P}, {BASE + H, 2 * H, P, H}), 0);
}
END_TEST

START_TEST(refuses_what_is_no_memory)
{
	table.n = 0;
	REFUSED("no regions", regions_check(&table, P));
	REFUSED("is empty", CHECK(P, {BASE, 0, 0, P}));
	REFUSED("page size of 8192", CHECK(2 * P, {BASE, 2 * P, 0, 2 * P}));
	REFUSED("page size of 0", CHECK(P, {BASE, P, 0, 0}));
	REFUSED("not aligned", CHECK(P, {BASE + 1, P, 0, P}));
	REFUSED("not aligned", CHECK(P, {BASE, P + 1, 0, P}));
	REFUSED("not aligned", CHECK(H, {BASE + P, H, 0, H}));
	REFUSED("not aligned", CHECK(P, {BASE, P, 0, H}));
	REFUSED("multiple of 4096", CHECK(P, {BASE, P, 1, P}));
	REFUSED("address space", CHECK(P, {UINT64_C(0xffff800000000000), P, 0, P}));
	REFUSED("address space", CHECK(P, {(UINT64_C(1) << 56), P, 0, P}));
	REFUSED("address space", CHECK(2 * P, {(UINT64_C(1) << 56) - P, 2 * P, 0, P}));
	REFUSED("address space", CHECK(P, {P, UINT64_MAX - P + 1, 0, P}));
	REFUSED("address space", CHECK(P, {UINT64_MAX - P + 1, 2 * P, 0, P}));
}
END_TEST

START_TEST(refuses_what_is_not_the_image)
{
	REFUSED("add up to 4096", CHECK(2 * P, {BASE, P, 0, P}));
	REFUSED("reaches beyond", CHECK(P, {BASE, 2 * P, 0, P}));
	REFUSED("leaves a gap", CHECK(2 * P, {BASE, P, P, P}));
	REFUSED("leaves a gap", CHECK(3 * P, {BASE, P, 0, P}, {BASE + 2 * P, P, 2 * P, P}));
	REFUSED("overlaps another one in the image",
		CHECK(2 * P, {BASE, P, 0, P}, {BASE + 2 * P, P, 0, P}));
	REFUSED("overlaps another one in memory",
		CHECK(3 * P, {BASE, 2 * P, 0, P}, {BASE + P, P, 2 * P, P}));
	REFUSED("overlaps another one in memory", CHECK(2 * P, {BASE, P, 0, P}, {BASE, P, P, P}));
	/* sizes whose sum wraps around to the image's */
	REFUSED("reaches beyond", CHECK(2 * P, {BASE, P, 0, P}, {P, (UINT64_C(1) << 55), P, P},
					{BASE + 4 * P, P, (UINT64_C(1) << 55) + P, P}));
}
END_TEST

START_TEST(finds_the_region_of_an_address)
{
	ck_assert_int_eq(CHECK(4 * P, {BASE + 8 * P, 2 * P, 0, P}, {BASE, 2 * P, 2 * P, P}), 0);
	ck_assert_ptr_null(regions_find(&table, BASE - 1));
	ck_assert_ptr_eq(regions_find(&table, BASE), &table.at[0]);
	ck_assert_ptr_eq(regions_find(&table, BASE + 2 * P - 1), &table.at[0]);
	ck_assert_ptr_null(regions_find(&table, BASE + 2 * P));
	ck_assert_ptr_null(regions_find(&table, BASE + 8 * P - 1));
	ck_assert_ptr_eq(regions_find(&table, BASE + 8 * P), &table.at[1]);
	ck_assert_ptr_null(regions_find(&table, BASE + 10 * P));
	ck_assert_ptr_eq(regions_from(&table, 0), &table.at[0]);
	ck_assert_ptr_eq(regions_from(&table, BASE + 2 * P), &table.at[1]);
	ck_assert_ptr_null(regions_from(&table, BASE + 10 * P));
	ck_assert_uint_eq(region_off(&table.at[0], BASE + P + 5), 3 * P + 5);
}
END_TEST

START_TEST(clips_removals_inwards)
{
	static const struct region small = {BASE, 4 * P, 0, P};
	static const struct region huge = {BASE, 4 * H, 0, H};
	uint64_t va = 0;

	ck_assert_uint_eq(region_clip(&small, BASE + P, BASE + 3 * P, &va), 2 * P);
	ck_assert_uint_eq(va, BASE + P);
	ck_assert_uint_eq(region_clip(&small, 0, UINT64_MAX, &va), 4 * P);
	ck_assert_uint_eq(va, BASE);
	ck_assert_uint_eq(region_clip(&small, BASE - P, BASE, &va), 0);
	ck_assert_uint_eq(region_clip(&small, BASE + 4 * P, BASE + 5 * P, &va), 0);
	ck_assert_uint_eq(region_clip(&small, BASE + P, BASE, &va), 0);
	ck_assert_uint_eq(region_clip(&huge, BASE + P, BASE + H, &va), 0);
	ck_assert_uint_eq(region_clip(&huge, BASE + P, BASE + 3 * H - P, &va), H);
	ck_assert_uint_eq(va, BASE + H);
	ck_assert_uint_eq(region_clip(&huge, BASE + H, BASE + 3 * H, &va), 2 * H);
}
END_TEST

UNIT_MAIN("regions", takes_regions_in_any_order, refuses_what_is_no_memory,
	  refuses_what_is_not_the_image, finds_the_region_of_an_address, clips_removals_inwards)
