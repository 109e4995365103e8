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

UNIT_MAIN("collision", pages_of_one_hash_stay_apart)
