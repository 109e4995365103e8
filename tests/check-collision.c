/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store built with a hash of 8 bits: a hash match alone merges nothing.
 */
#include "config.h"

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

/* A page with the hash of the parent's page at the same place is another page. */
START_TEST(a_page_with_the_hash_of_the_parents_is_kept)
{
	char *a = fixture_image(NPAGES, 41);
	char *b = fixture_image(NPAGES, 42);
	struct import_request request = {.name = "b", .image = "image", .parent = "a"};
	uint64_t alike = 0;
	struct snapshot_row row;

	for (uint64_t off = 0; off < NPAGES * PAGE_BYTES; off += PAGE_BYTES)
		alike += memcmp(a + off, b + off, PAGE_BYTES) != 0 &&
			 page_hash(a + off) == page_hash(b + off);
	ck_assert_uint_gt(alike, 0);
	fixture_setup();
	fixture_import("a", a, NPAGES);
	request.image_fd = fixture_file(b, NPAGES, false);
	CK_OK(import_image(fixture_store, &request, &row));
	close(request.image_fd);
	CK_OK(fixture_compare("b", b, NPAGES));
	munmap(a, NPAGES * PAGE_BYTES);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

UNIT_MAIN("collision", pages_of_one_hash_stay_apart, a_page_with_the_hash_of_the_parents_is_kept)
