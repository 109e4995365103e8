/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store against images in memory: reading, removing, and its packs.
 */
#include "config.h"

#include <pthread.h>

#include "db/index-private.h"
#include "tests/index-fixture.h"
#include "tests/unit.h"

#define NPAGES 3000

START_TEST(an_image_reads_back_at_any_offset)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	unsigned int seed = 11;
	char *image = fixture_image(NPAGES, seed);
	char *found = malloc(1 << 20);
	struct snapshot_row row;

	fixture_setup();
	row = fixture_import("a", image, NPAGES);
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot));
	for (int i = 0; i < 3000; i++) {
		uint64_t off = (uint64_t)rand_r(&seed) % row.size;
		size_t len = (size_t)rand_r(&seed) % (i % 10 ? 20000 : 1 << 20) + 1;

		len = MIN(len, row.size - off);
		CK_OK(snapshot_read(snapshot, fixture_pages, MAP_MEM, off, found, len));
		ck_assert_int_eq(memcmp(found, image + off, len), 0);
	}
	free(found);
	munmap(image, NPAGES * PAGE_BYTES);
	snapshot_close(TAKE_PTR(snapshot));
	ck_assert_uint_eq(findings(), 0);
	fixture_teardown();
}
END_TEST

START_TEST(removing_gives_back_what_nobody_shares)
{
	char *a = fixture_image(NPAGES, 14);
	char *b = fixture_image(NPAGES, 15);
	char *c;

	fixture_setup();
	fixture_import("a", a, NPAGES);
	fixture_import("b", b, NPAGES);
	c = fixture_image(NPAGES, 16);
	memcpy(c, b, 100 * PAGE_BYTES);
	fixture_import("c", c, NPAGES);
	ck_assert(pack_exists(1) && pack_exists(2) && pack_exists(3));
	/* the pages that come again and again are all in a's pack */
	CK_OK(catalog_remove(fixture_index, "a", false));
	ck_assert(pack_exists(1));
	CK_OK(catalog_remove(fixture_index, "b", false));
	ck_assert(pack_exists(2));
	CK_OK(fixture_compare("c", c, NPAGES));
	ck_assert_uint_eq(findings(), 0);
	CK_OK(catalog_remove(fixture_index, "c", false));
	ck_assert(!pack_exists(3));
	ck_assert_uint_eq(number("SELECT count(*) FROM extent"), 0);
	ck_assert_uint_eq(findings(), 0);
	munmap(a, NPAGES * PAGE_BYTES);
	munmap(b, NPAGES * PAGE_BYTES);
	munmap(c, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* Its row was lost with the power, and the next import would get the same number. */
START_TEST(a_file_in_the_way_of_a_pack_stays)
{
	char *image = fixture_image(NPAGES, 21);
	char path[128];
	FILE *file;

	fixture_setup();
	snprintf(path, sizeof(path), "%s/packs/1.pack", fixture_dir);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs("left over", file);
	fclose(file);
	fixture_import("a", image, NPAGES);
	CK_OK(fixture_compare("a", image, NPAGES));
	ck_assert(pack_exists(2));
	file = fopen(path, "r");
	ck_assert_int_eq(fgetc(file), 'l');
	fclose(file);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* Damage may say that a pack is to be dropped. */
START_TEST(a_pack_that_is_needed_is_never_dropped)
{
	char *image = fixture_image(NPAGES, 22);

	fixture_setup();
	fixture_import("a", image, NPAGES);
	fixture_import("b", image, NPAGES);
	CK_OK(sql_do(fixture_index, "UPDATE pack SET doomed = 1"));
	CK_OK(catalog_rename(fixture_index, "b", "c"));
	ck_assert_uint_eq(number("SELECT count(*) FROM pack WHERE doomed"), 0);
	CK_OK(fixture_compare("a", image, NPAGES));
	/* b shares all of a */
	CK_OK(catalog_remove(fixture_index, "a", false));
	CK_OK(fixture_compare("c", image, NPAGES));
	ck_assert_uint_eq(findings(), 0);
	CK_OK(sql_do(fixture_index, "UPDATE pack SET doomed = 1"));
	CK_OK(catalog_remove(fixture_index, "c", false));
	ck_assert_uint_eq(number("SELECT count(*) FROM page"), 0);
	ck_assert(!pack_exists(1));
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

static void *come_and_go(void *argument)
{
	bool *ended = argument;
	char *image = fixture_image(NPAGES, 23);
	struct index *index;

	CK_OK(index_open(fixture_store, &index));
	for (int i = 0; i < 15; i++) {
		fixture_import("a", image, NPAGES);
		CK_OK(catalog_remove(index, "a", false));
	}
	index_close(index);
	munmap(image, NPAGES * PAGE_BYTES);
	__atomic_store_n(ended, true, __ATOMIC_SEQ_CST);
	return NULL;
}

START_TEST(check_finds_nothing_while_snapshots_come_and_go)
{
	bool ended = false;
	pthread_t thread;

	fixture_setup();
	ck_assert_int_eq(pthread_create(&thread, NULL, come_and_go, &ended), 0);
	while (!__atomic_load_n(&ended, __ATOMIC_SEQ_CST))
		ck_assert_uint_eq(findings(), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(findings(), 0);
	fixture_teardown();
}
END_TEST

START_TEST(a_step_knows_how_long_the_log_is)
{
	AUTO(transaction_end_at) struct index *open = NULL;

	fixture_setup();
	CK_OK(transaction_begin(fixture_index, TRANSACTION_STEP, &open));
	CK_OK(sql_do(fixture_index, "INSERT INTO page VALUES (1, 2, 3, 64, 5)"));
	CK_OK(transaction_commit(&open));
	ck_assert_int_gt(fixture_index->wal_pages, 0);
	fixture_teardown();
}
END_TEST

UNIT_MAIN("store", an_image_reads_back_at_any_offset, removing_gives_back_what_nobody_shares,
	  a_file_in_the_way_of_a_pack_stays, a_pack_that_is_needed_is_never_dropped,
	  check_finds_nothing_while_snapshots_come_and_go, a_step_knows_how_long_the_log_is)
