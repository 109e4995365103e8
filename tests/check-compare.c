/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing snapshots: what is found, against the images, page by page.
 */
#include "config.h"

#include <errno.h>

#include "db/compare.h"
#include "tests/layer-fixture.h"
#include "tests/unit.h"

/* What compare_snapshots is to find, page by page: kinds, or "equal". */
struct expected {
	const char *a;
	const char *b;
	uint64_t a_pages;
	uint64_t b_pages;
	uint64_t at;	 /* the page behind the last range */
	uint64_t ranges; /* found */
	enum run_kind last_a;
	enum run_kind last_b;
};

static enum run_kind kind_at(const char *image, uint64_t npages, uint64_t pgno)
{
	if (pgno >= npages)
		return RUN_ABSENT;
	return is_zero(image, pgno) ? RUN_ZERO : RUN_DATA;
}

static bool expected_equal(const struct expected *e, uint64_t pgno)
{
	return pgno < e->a_pages && pgno < e->b_pages && !page_differs(e->a, e->b, pgno);
}

static int take_range(void *context, const struct compare_range *range)
{
	struct expected *e = context;

	ck_assert_uint_gt(range->count, 0);
	ck_assert_uint_ge(range->first, e->at);
	if (range->first == e->at && e->ranges > 0) /* else they were one range */
		ck_assert(range->a != e->last_a || range->b != e->last_b);
	for (; e->at < range->first; e->at++)
		ck_assert_msg(expected_equal(e, e->at), "page %ju differs", (uintmax_t)e->at);
	for (; e->at < range->first + range->count; e->at++) {
		ck_assert_msg(!expected_equal(e, e->at), "page %ju is equal", (uintmax_t)e->at);
		ck_assert_int_eq(range->a, kind_at(e->a, e->a_pages, e->at));
		ck_assert_int_eq(range->b, kind_at(e->b, e->b_pages, e->at));
	}
	e->last_a = range->a;
	e->last_b = range->b;
	e->ranges++;
	return 0;
}

static int compare(const char *a, const char *b, compare_found *found, void *context,
		   struct compare_totals *ret)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot_a = NULL;
	AUTO(snapshot_close_at) struct snapshot *snapshot_b = NULL;
	struct snapshot_row row;

	CK_OK(catalog_find(fixture_index, a, &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot_a));
	CK_OK(catalog_find(fixture_index, b, &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot_b));
	return compare_snapshots(fixture_index, fixture_pages, snapshot_a, snapshot_b, found,
				 context, NULL, ret);
}

static void compare_is(const char *a, const char *b, const char *a_image, uint64_t a_pages,
		       const char *b_image, uint64_t b_pages)
{
	struct expected expected = {a_image, b_image, a_pages, b_pages, 0, 0, 0, 0};
	struct compare_totals totals;
	uint64_t differing = 0;

	CK_OK(compare(a, b, take_range, &expected, &totals));
	for (uint64_t pgno = 0; pgno < MAX(a_pages, b_pages); pgno++) {
		if (pgno >= expected.at)
			ck_assert(expected_equal(&expected, pgno));
		differing += !expected_equal(&expected, pgno);
	}
	ck_assert_uint_eq(totals.ranges, expected.ranges);
	ck_assert_uint_eq(totals.changed + totals.filled + totals.zeroed + totals.beyond,
			  differing);
}

START_TEST(comparing_finds_what_differs)
{
	char *a = fixture_image(NPAGES, 120);
	char *b = changed_image(a, 121);
	char *c = changed_image(b, 122);
	struct snapshot_row row;

	fixture_setup();
	fixture_import("a", a, NPAGES);
	CK_OK(import_over("b", fixture_file(b, NPAGES, true), "a", false, &row));
	CK_OK(import_over("c", fixture_file(c, NPAGES, true), "b", false, &row));
	fixture_import("alone", c, NPAGES);
	fixture_import("shorter", b, NPAGES - 700);
	compare_is("a", "b", a, NPAGES, b, NPAGES);
	compare_is("b", "a", b, NPAGES, a, NPAGES);
	compare_is("a", "c", a, NPAGES, c, NPAGES);
	compare_is("c", "c", c, NPAGES, c, NPAGES);
	compare_is("c", "alone", c, NPAGES, c, NPAGES);
	compare_is("a", "shorter", a, NPAGES, b, NPAGES - 700);
	compare_is("shorter", "c", b, NPAGES - 700, c, NPAGES);
	munmap(a, BYTES);
	munmap(b, BYTES);
	munmap(c, BYTES);
	fixture_teardown();
}
END_TEST

static int stop_at_once(void *context, const struct compare_range *range)
{
	(void)range;
	++*(int *)context;
	return -ECANCELED;
}

START_TEST(comparing_ends_with_who_listens)
{
	char *a = fixture_image(NPAGES, 130);
	char *b = changed_image(a, 131);
	struct compare_totals totals;
	int calls = 0;

	fixture_setup();
	fixture_import("a", a, NPAGES);
	fixture_import("b", b, NPAGES);
	ck_assert_int_eq(compare("a", "b", stop_at_once, &calls, &totals), -ECANCELED);
	ck_assert_int_eq(calls, 1);
	munmap(a, BYTES);
	munmap(b, BYTES);
	fixture_teardown();
}
END_TEST

UNIT_MAIN("compare", comparing_finds_what_differs, comparing_ends_with_who_listens)
