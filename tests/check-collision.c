/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store built with a hash of 8 bits: a hash match alone merges nothing.
 */
#include "config.h"

#include "db/compare.h"
#include "db/page.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define NPAGES 8000

START_TEST(pages_of_one_hash_stay_apart)
{
	char *image = fixture_image(NPAGES, 40);
	struct snapshot_row first;
	struct snapshot_row second;

	ck_assert_uint_lt(page_hash(image), 256);
	fixture_setup();
	first = fixture_import("a", image, NPAGES);
	second = fixture_import("b", image, NPAGES);
	ck_assert_uint_gt(first.stored_pages, 256);
	ck_assert_uint_lt(second.stored_pages, second.data_pages);
	CK_OK(fixture_compare("a", image, NPAGES));
	CK_OK(fixture_compare("b", image, NPAGES));
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

static int count_range(void *context, const struct compare_range *range)
{
	*(uint64_t *)context += range->count;
	return 0;
}

static uint64_t count_differing(const char *a, const char *b)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot_a = NULL;
	AUTO(snapshot_close_at) struct snapshot *snapshot_b = NULL;
	struct compare_totals totals;
	struct snapshot_row row;
	uint64_t found = 0;

	CK_OK(catalog_find(fixture_index, a, &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot_a));
	CK_OK(catalog_find(fixture_index, b, &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot_b));
	CK_OK(compare_snapshots(fixture_index, fixture_pages, snapshot_a, snapshot_b, count_range,
				&found, NULL, &totals));
	return found;
}

/* A page with the hash of the parent's page at the same place is another page. */
START_TEST(a_page_with_the_hash_of_the_parents_is_kept)
{
	char *a = fixture_image(NPAGES, 41);
	char *b = fixture_image(NPAGES, 42);
	struct import_request request = {.name = "b", .image = "image", .parent = "a"};
	uint64_t differing = 0;
	uint64_t alike = 0;
	struct snapshot_row row;

	for (uint64_t off = 0; off < NPAGES * PAGE_BYTES; off += PAGE_BYTES) {
		bool differs = memcmp(a + off, b + off, PAGE_BYTES) != 0;

		differing += differs;
		alike += differs && page_hash(a + off) == page_hash(b + off);
	}
	ck_assert_uint_gt(alike, 0);
	fixture_setup();
	fixture_import("a", a, NPAGES);
	request.image_fd = fixture_file(b, NPAGES, false);
	CK_OK(import_image(fixture_store, &request, &row));
	close(request.image_fd);
	CK_OK(fixture_compare("b", b, NPAGES));
	ck_assert_uint_eq(count_differing("a", "b"), differing);
	munmap(a, NPAGES * PAGE_BYTES);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

UNIT_MAIN("collision", pages_of_one_hash_stay_apart, a_page_with_the_hash_of_the_parents_is_kept)
