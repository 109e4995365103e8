/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting garbage: what is named stays, the rest goes, and its space too. */
#include "config.h"

#include <errno.h>

#include "db/pack-make.h"
#include "tests/chance.h"
#include "tests/gc-fixture.h"
#include "tests/unit.h"

static uint64_t pack_bytes(unsigned int pack)
{
	char path[128];
	struct stat st;

	pack_path_of(pack, path);
	ck_assert_int_eq(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

START_TEST(what_is_named_stays_and_the_rest_goes)
{
	struct gc_report report;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	report = collect_exactly();
	ck_assert_uint_gt(report.pages, 0);
	ck_assert_uint_eq(report.rewritten, 1);
	ck_assert_uint_eq(report.made, 1);
	ck_assert(!pack_exists(1));
	/* more rows than are listed at a time; of each block one copy, back to back */
	ck_assert_uint_gt(number("SELECT count(*) FROM page WHERE pack = 3"), GC_ENTRIES);
	ck_assert_uint_lt(number("SELECT count(DISTINCT offset) FROM page WHERE pack = 3"),
			  number("SELECT count(*) FROM page WHERE pack = 3"));
	ck_assert_uint_eq(number("SELECT sum(length) FROM (SELECT DISTINCT offset, length "
				 "FROM page WHERE pack = 3)"),
			  pack_bytes(3) - 64);
	CK_OK(fixture_compare("b", b, NPAGES));
	report = collect_exactly();
	ck_assert_uint_eq(report.pages + report.packs + report.bytes, 0);
	CK_OK(catalog_remove(fixture_index, "b", false));
	collect_exactly();
	ck_assert_uint_eq(packs_bytes(), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM page"), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM pack"), 0);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* Images that have stretches of each other, taken out and in. */
START_TEST(no_snapshot_misses_a_page_over_many_rounds)
{
	enum { SNAPSHOTS = 6, PAGES = 300 };
	unsigned int seed = (unsigned int)chance_seed();
	char *images[SNAPSHOTS] = {0};
	uint64_t rewritten = 0;
	int rounds = chance_rounds(40, 400);

	fixture_setup();
	/* and on until there was one to rewrite, which chance may leave out for so long */
	for (int round = 0; round < rounds || (rewritten == 0 && round < 20 * rounds); round++) {
		int i = rand_r(&seed) % SNAPSHOTS;
		int from = rand_r(&seed) % SNAPSHOTS;
		uint64_t first = (uint64_t)rand_r(&seed) % PAGES;
		uint64_t count = MIN((uint64_t)rand_r(&seed) % 60, PAGES - first);
		char name[] = {(char)('a' + i), '\0'};

		if (images[i]) {
			CK_OK(catalog_remove(fixture_index, name, false));
			munmap(images[i], PAGES * PAGE_BYTES);
			images[i] = NULL;
		} else {
			images[i] = fixture_image(PAGES, (unsigned int)rand_r(&seed));
			if (images[from])
				memmove(images[i] + (PAGES - first - count) * PAGE_BYTES,
					images[from] + first * PAGE_BYTES, count * PAGE_BYTES);
			fixture_import(name, images[i], PAGES);
		}
		rewritten += collect_exactly().rewritten;
		for (int k = 0; k < SNAPSHOTS; k++) {
			char other[] = {(char)('a' + k), '\0'};

			if (images[k])
				CK_OK(fixture_compare(other, images[k], PAGES));
		}
	}
	ck_assert_uint_gt(rewritten, 0);
	for (int i = 0; i < SNAPSHOTS; i++)
		if (images[i])
			munmap(images[i], PAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(a_damaged_page_is_not_moved)
{
	struct gc_report report;
	long offset;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	offset = (long)number("SELECT max(offset) FROM page WHERE pack = 1 AND id IN "
			      "(SELECT id FROM page EXCEPT SELECT p.id " DEAD ")");
	pack_flip(1, offset + 1);
	ck_assert_int_eq(collect(false, &report), -EBADMSG);
	ck_assert_uint_eq(report.damaged, 1);
	ck_assert_uint_eq(report.rewritten, 0);
	ck_assert(pack_exists(1));
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), 0);
	ck_assert_int_eq(fixture_compare("b", b, NPAGES), -EBADMSG);
	ck_assert_uint_gt(findings(), 0);
	/* the damage is where it was: put right, all is well */
	pack_flip(1, offset + 1);
	CK_OK(fixture_compare("b", b, NPAGES));
	CK_OK(collect(false, &report));
	CK_OK(fixture_compare("b", b, NPAGES));
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* What is needed by half or more is not written anew. */
START_TEST(a_pack_worth_keeping_is_kept)
{
	struct gc_report report;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 1100);
	report = collect_exactly();
	ck_assert_uint_gt(report.pages, 0);
	ck_assert_uint_eq(report.rewritten, 0);
	ck_assert(pack_exists(1));
	CK_OK(fixture_compare("b", b, NPAGES));
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* An import that was killed: a dry run counts it as a run does, which sweeps it. */
START_TEST(what_was_cut_off_is_garbage)
{
	char *image = fixture_image(NPAGES, 75);
	struct gc_report said;
	struct gc_report did;

	fixture_setup();
	fixture_import("a", image, NPAGES);
	run_sql(fixture_index, "UPDATE snapshot SET state = 0");
	CK_OK(collect(true, &said));
	ck_assert_uint_eq(number("SELECT count(*) FROM snapshot"), 1);
	CK_OK(collect(false, &did));
	ck_assert_int_eq(memcmp(&said, &did, sizeof(did)), 0);
	ck_assert_uint_eq(did.packs, 1);
	ck_assert_uint_eq(packs_bytes(), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM snapshot"), 0);
	ck_assert_uint_eq(findings(), 0);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(packs_that_are_written_stay)
{
	AUTO(pack_writer_close_at) struct pack_writer *writer = NULL;
	struct gc_report report;
	char page[PAGE_BYTES] = "page";
	uint32_t pack;

	fixture_setup();
	CK_OK(pack_make(fixture_index, 0, &writer));
	pack = pack_writer_number(writer);
	CK_OK(pack_writer_append(writer, page, sizeof(page)));
	CK_OK(pack_writer_sync(writer));
	CK_OK(collect(false, &report));
	ck_assert_uint_eq(report.packs, 0);
	ck_assert(pack_exists(pack));
	/* the index has lost its row: it still is someone's */
	run_sql(fixture_index, "DELETE FROM pack");
	CK_OK(collect(false, &report));
	ck_assert(pack_exists(pack));
	pack_writer_close(TAKE_PTR(writer));
	ck_assert_uint_eq(collect_exactly().packs, 1);
	ck_assert(!pack_exists(pack));
	fixture_teardown();
}
END_TEST

START_TEST(files_the_index_does_not_know_go)
{
	static const struct {
		const char *name;
		bool goes;
	} files[] = {
		{"77.pack", true}, {"4294967295.pack", true},	{"077.pack", false},
		{"0.pack", false}, {"-5.pack", false},		{"77.pack~", false},
		{"notes", false},  {"99999999999.pack", false},
	};
	char path[160];

	fixture_setup();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/packs/%s", fixture_dir, files[i].name);
		file = fopen(path, "w");
		fputs("stray", file);
		fclose(file);
	}
	ck_assert_uint_eq(collect_exactly().packs, 2);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/packs/%s", fixture_dir, files[i].name);
		ck_assert_msg((access(path, F_OK) != 0) == files[i].goes, "%s", files[i].name);
	}
	/* a row without a file, and without need of one */
	run_sql(fixture_index, "INSERT INTO pack (maker) VALUES (0)");
	ck_assert_uint_eq(collect_exactly().packs, 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM pack"), 0);
	fixture_teardown();
}
END_TEST

START_TEST(a_damaged_index_is_not_collected)
{
	static const char *const damages[] = {
		"DELETE FROM extent WHERE snapshot = 2 AND first = 0",
		"UPDATE extent SET count = count - 1 WHERE snapshot = 2 AND first = 0",
		"UPDATE extent SET page = NULL WHERE snapshot = 2 AND page IS NOT NULL",
		"DELETE FROM sqlite_sequence WHERE name = 'page'",
	};
	char *b = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		struct gc_report report;
		uint64_t rows;

		fixture_setup();
		b = leave_garbage(100, 500);
		run_sql(fixture_index, damages[i]);
		rows = number("SELECT count(*) FROM page");
		ck_assert_msg(collect(false, &report) == -EBADMSG, "%s", damages[i]);
		ck_assert_int_eq(collect(true, &report), -EBADMSG);
		ck_assert_uint_eq(number("SELECT count(*) FROM page"), rows);
		munmap(b, NPAGES * PAGE_BYTES);
		fixture_teardown();
	}
}
END_TEST

/* What is free in index.db goes back to the file system. */
START_TEST(the_index_shrinks)
{
	struct gc_report report;
	struct stat after;
	uint64_t pages;
	char path[128];

	fixture_setup();
	snprintf(path, sizeof(path), "%s/index.db", fixture_dir);
	run_sql(fixture_index,
		"INSERT INTO pack (maker) VALUES (0);"
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
		"INSERT INTO page (hash, pack, offset, length) SELECT i * 7919, 1, 64 * i, 64 "
		"FROM n");
	pages = number("PRAGMA page_count");
	CK_OK(collect(false, &report));
	stat(path, &after);
	ck_assert_uint_eq(report.pages, 20000);
	ck_assert_uint_eq(number("PRAGMA freelist_count"), 0);
	ck_assert_uint_lt((uint64_t)after.st_size, pages * 4096 / 4);
	ck_assert_uint_eq(findings(), 0);
	fixture_teardown();
}
END_TEST

UNIT_MAIN("gc", what_is_named_stays_and_the_rest_goes, no_snapshot_misses_a_page_over_many_rounds,
	  a_damaged_page_is_not_moved, a_pack_worth_keeping_is_kept, what_was_cut_off_is_garbage,
	  packs_that_are_written_stay, files_the_index_does_not_know_go,
	  a_damaged_index_is_not_collected, the_index_shrinks)
