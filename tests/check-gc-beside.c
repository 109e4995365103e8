/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting garbage while others have it open, write to it, or collect too. */
#include "config.h"

#include <errno.h>
#include <sys/wait.h>

#include "db/pack-cache.h"
#include "tests/gc-fixture.h"
#include "tests/unit.h"

START_TEST(what_an_import_names_in_between_stays)
{
	struct gc_report report;
	char *b;
	char sql[160];

	fixture_setup();
	b = leave_garbage(100, 500);
	/* the last of the first step, which so is not dropped by an earlier one */
	shared_id = number("SELECT max(id) FROM (SELECT p.id " DEAD " ORDER BY id LIMIT 50)");
	ck_assert_uint_gt(shared_id, 0);
	hook_set(name_by_import, TRANSACTION_STEP, 1);
	CK_OK(collect(false, &report));
	ck_assert_ptr_null((void *)hook);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM page WHERE id = %llu",
		 (unsigned long long)shared_id);
	ck_assert_uint_eq(number(sql), 1);
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), 0);
	CK_OK(fixture_compare("b", b, NPAGES));
	/* without its lease it was cut off, and its page goes too */
	locks_drop_lease(fixture_store->locks, hook_snapshot);
	CK_OK(collect(false, &report));
	ck_assert_uint_eq(number(sql), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM snapshot WHERE state = 0"), 0);
	ck_assert_uint_eq(findings(), 0);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

static char alias_sql[256];

/* A row that was an alias of one in pack 1, before that was moved. */
static void add_alias(struct index *index)
{
	run_sql(index, alias_sql);
}

static void alias_remember(void)
{
	uint64_t id = number("SELECT min(p.id) FROM page p JOIN extent e "
			     "ON e.page <= p.id AND e.page + e.count > p.id WHERE p.pack = 1");
	char sql[160];
	uint64_t row[3];
	static const char *const columns[] = {"hash", "offset", "length"};

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		snprintf(sql, sizeof(sql), "SELECT %s FROM page WHERE id = %llu", columns[i],
			 (unsigned long long)id);
		row[i] = number(sql);
	}
	snprintf(alias_sql, sizeof(alias_sql),
		 "INSERT INTO page (hash, pack, offset, length) VALUES (%lld, 1, %lld, %lld)",
		 (long long)row[0], (long long)row[1], (long long)row[2]);
}

/* b names one page by two rows after this: the last one is what came. */
static void add_alias_of_b(struct index *index)
{
	run_sql(index,
		"INSERT INTO page (hash, pack, offset, length) "
		"SELECT hash, pack, offset, length FROM page WHERE id = "
		"(SELECT min(id) FROM page);"
		"INSERT INTO snapshot (name, size, page_size, state, created_ns, data_pages, "
		"layer_data) VALUES ('alias', 4096, 4096, 1, 0, 1, 1);"
		"INSERT INTO extent SELECT max(s.id), 0, 1, (SELECT max(id) FROM page) "
		"FROM snapshot s");
}

/* An alias of a page, written just before the last row of its pack is moved away. */
START_TEST(a_pack_that_is_named_in_between_stays_for_another_round)
{
	struct gc_report report;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	/* the first catalog transaction is the one that dooms */
	alias_remember();
	hook_set(add_alias, TRANSACTION_CATALOG, 1);
	CK_OK(collect(false, &report));
	ck_assert_ptr_null((void *)hook);
	ck_assert_uint_eq(report.rewritten, 1);
	ck_assert_uint_eq(report.made, 2);
	ck_assert(!pack_exists(1));
	CK_OK(fixture_compare("b", b, NPAGES));
	ck_assert_uint_eq(findings(), 0);

	/* ... and before a step of the moving */
	fixture_teardown();
	fixture_setup();
	munmap(b, NPAGES * PAGE_BYTES);
	b = leave_garbage(100, 500);
	hook_set(add_alias_of_b, TRANSACTION_STEP,
		 (int)((number("SELECT count(*) " DEAD) + 49) / 50) + 2);
	CK_OK(collect(false, &report));
	ck_assert_ptr_null((void *)hook);
	ck_assert_uint_eq(report.rewritten, 1);
	ck_assert(!pack_exists(1));
	CK_OK(fixture_compare("b", b, NPAGES));
	ck_assert_uint_eq(findings(), 0);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(who_has_it_open_reads_on)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	char *found = malloc(NPAGES * PAGE_BYTES);
	struct snapshot_row row;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	CK_OK(catalog_find(fixture_index, "b", &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot));
	/* its rows, and its packs, are cached now */
	CK_OK(snapshot_read(snapshot, fixture_pages, MAP_MEM, 0, found, row.size));
	ck_assert_uint_eq(collect_exactly().rewritten, 1);
	CK_OK(snapshot_read(snapshot, fixture_pages, MAP_MEM, 0, found, row.size));
	ck_assert_int_eq(memcmp(found, b, row.size), 0);
	/* the removed pack is let go of, and its rows are looked up once more */
	pack_cache_trim(fixture_store, false);
	memset(found, 0, row.size);
	CK_OK(snapshot_read(snapshot, fixture_pages, MAP_MEM, 0, found, row.size));
	ck_assert_int_eq(memcmp(found, b, row.size), 0);
	ck_assert_int_eq(catalog_remove(fixture_index, "b", false), -EBUSY);
	snapshot_close(TAKE_PTR(snapshot));
	free(found);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* What lies elsewhere than the rows say that were read before is the parent's all the same. */
START_TEST(an_import_finds_what_was_moved)
{
	struct import_request request = {.name = "c", .image = "image", .parent = "b"};
	struct snapshot_row row;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	CK_OK(fixture_compare("b", b, NPAGES)); /* rows and packs are cached now */
	ck_assert_uint_eq(collect_exactly().rewritten, 1);
	pack_cache_trim(fixture_store, false);
	request.image_fd = fixture_file(b, NPAGES, false);
	CK_OK(import_image(fixture_store, &request, &row));
	close(request.image_fd);
	ck_assert_uint_eq(row.layer_data, 0);
	CK_OK(fixture_compare("c", b, NPAGES));
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* A draft of two pages' worth of extents less than its packs have. */
static void make_rewritten_draft(const char *image)
{
	fixture_import("draft", image, NPAGES);
	run_sql(fixture_index, "UPDATE snapshot SET state = 1, digest = NULL, layer_digest = NULL;"
			       "DELETE FROM extent WHERE first > 100");
}

static void take_lease_and_wait(uint64_t id, int ready, int wait_for)
{
	struct store *store = NULL;
	char c = 'x';

	if (store_open(fixture_dir, &store) == 0 && locks_take_lease(store->locks, id) == 0)
		(void)!write(ready, &c, 1);
	(void)!read(wait_for, &c, 1);
	_exit(0);
}

START_TEST(what_others_have_open_by_an_older_map_stays)
{
	char *image = fixture_image(NPAGES, 72);
	struct gc_report report;
	int ready[2];
	int go[2];
	char c = 0;
	pid_t child;

	fixture_setup();
	make_rewritten_draft(image);
	ck_assert_uint_gt(number("SELECT count(*) " DEAD), 0);
	ck_assert(pipe(ready) == 0 && pipe(go) == 0);
	child = fork();
	if (child == 0)
		take_lease_and_wait(1, ready[1], go[0]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	CK_OK(collect(false, &report));
	ck_assert_uint_eq(report.pages, 0);
	CK_OK(gc_run_maker(fixture_index, 1, &report));
	ck_assert_uint_eq(report.pages, 0);
	ck_assert_int_eq(write(go[1], &c, 1), 1);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	/* one's own lease is in the way of a whole collection, not of one of the maker */
	CK_OK(locks_take_lease(fixture_store->locks, 1));
	CK_OK(collect(false, &report));
	ck_assert_uint_eq(report.pages, 0);
	CK_OK(gc_run_maker(fixture_index, 1, &report));
	ck_assert_uint_gt(report.pages, 0);
	ck_assert_uint_eq(report.rewritten, 1);
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), 0);
	ck_assert_uint_eq(number("SELECT maker FROM pack"), 1);
	locks_drop_lease(fixture_store->locks, 1);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(one_maker_alone)
{
	struct gc_report report;
	char *image = fixture_image(NPAGES, 73);
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	make_rewritten_draft(image);
	CK_OK(gc_run_maker(fixture_index, 3, &report));
	ck_assert_uint_gt(report.pages, 0);
	ck_assert(pack_exists(1));
	ck_assert_uint_gt(number("SELECT count(*) " DEAD), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM pack WHERE maker = 3"), 1);
	CK_OK(collect(false, &report));
	ck_assert(!pack_exists(1));
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), 0);
	munmap(b, NPAGES * PAGE_BYTES);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(one_collector_at_a_time)
{
	AUTO(locks_close_at) struct locks *locks = NULL;
	struct gc_report report;

	fixture_setup();
	CK_OK(locks_open(fixture_dir, true, &locks));
	CK_OK(locks_take_collector(locks));
	ck_assert_int_eq(collect(false, &report), -EBUSY);
	CK_OK(collect(true, &report));
	locks_drop_collector(locks);
	CK_OK(collect(false, &report));
	locks_close(TAKE_PTR(locks));
	fixture_teardown();
}
END_TEST

UNIT_MAIN("gc-beside", what_an_import_names_in_between_stays,
	  a_pack_that_is_named_in_between_stays_for_another_round, who_has_it_open_reads_on,
	  an_import_finds_what_was_moved, what_others_have_open_by_an_older_map_stays,
	  one_maker_alone, one_collector_at_a_time)
