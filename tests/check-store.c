/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store against images in memory.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "db/appender.h"
#include "db/check.h"
#include "db/discard.h"
#include "db/index-private.h"
#include "db/known.h"
#include "db/page.h"
#include "db/sql.h"
#include "db/transaction.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define NPAGES 3000

static uint64_t number(const char *sql)
{
	int64_t value;

	CK_OK(sql_number(fixture_index, sql, 0, &value));
	return (uint64_t)value;
}

static bool pack_exists(unsigned int pack)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/packs/%u.pack", fixture_dir, pack);
	return access(path, F_OK) == 0;
}

static void ignore_finding(void *context, const char *snapshot, const char *what)
{
	(void)context;
	(void)snapshot;
	(void)what;
}

static struct check_report check_all(void)
{
	struct check_request request = {.read_percent = 100, .found = ignore_finding};
	struct check_report report;

	CK_OK(check_store(fixture_index, &request, &report));
	return report;
}

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
	ck_assert_uint_eq(check_all().findings, 0);
	fixture_teardown();
}
END_TEST

/* Dense file, sparse file and pipe give the same snapshot. */
START_TEST(how_an_image_is_read_makes_no_difference)
{
	char *image = fixture_image(NPAGES, 12);
	struct import_request request = {.image = "image"};
	struct snapshot_row rows[3];
	int ends[2];

	fixture_setup();
	request.name = "sparse";
	request.image_fd = fixture_file(image, NPAGES, true);
	CK_OK(import_image(fixture_store, &request, &rows[0]));
	close(request.image_fd);
	request.name = "dense";
	request.image_fd = fixture_file(image, NPAGES, false);
	CK_OK(import_image(fixture_store, &request, &rows[1]));
	close(request.image_fd);
	ck_assert_int_eq(pipe(ends), 0);
	if (fork() == 0) {
		close(ends[0]);
		for (size_t at = 0; at < NPAGES * PAGE_BYTES;) {
			ssize_t n = write(ends[1], image + at,
					  MIN(NPAGES * (size_t)PAGE_BYTES - at, (size_t)30001));

			if (n < 0)
				_exit(1);
			at += (size_t)n;
		}
		_exit(0);
	}
	close(ends[1]);
	request.name = "pipe";
	request.image_fd = ends[0];
	CK_OK(import_image(fixture_store, &request, &rows[2]));
	wait(NULL);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(memcmp(rows[i].digest, rows[0].digest, DIGEST_BYTES), 0);
		ck_assert_uint_eq(rows[i].data_pages, rows[0].data_pages);
		ck_assert_uint_eq(rows[i].size, NPAGES * PAGE_BYTES);
		CK_OK(fixture_compare(rows[i].name, image, NPAGES));
	}
	/* the second and third stored nothing */
	ck_assert_uint_gt(rows[0].stored_pages, 0);
	ck_assert_uint_eq(rows[1].stored_pages, 0);
	ck_assert_uint_eq(rows[2].stored_pages, 0);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(equal_pages_are_stored_once)
{
	enum { PAGES = 4096 };
	char *image = fixture_image(PAGES, 13);
	struct snapshot_row row;
	unsigned int seed = 99;

	fixture_setup();
	/* one page everywhere, and a stretch that comes twice */
	for (size_t i = 0; i < PAGES; i += 2)
		memset(image + i * PAGE_BYTES, 'x', PAGE_BYTES);
	for (size_t i = 0; i < 500 * PAGE_BYTES; i++)
		image[i] = (char)rand_r(&seed);
	memcpy(image + 3000 * PAGE_BYTES, image, 500 * PAGE_BYTES);
	row = fixture_import("a", image, PAGES);
	ck_assert_uint_eq(number("SELECT count(DISTINCT pack || '.' || offset) FROM page"),
			  row.stored_pages);
	ck_assert_uint_eq(number("SELECT count(DISTINCT hash) FROM page"), row.stored_pages);
	CK_OK(fixture_compare("a", image, PAGES));
	/* aliases keep runs long: nothing here is zero but what fixture_image made so */
	ck_assert_uint_lt(number("SELECT count(*) FROM extent"), 2 * number("SELECT count(*) FROM "
									    "extent WHERE page IS "
									    "NULL") +
									 8);
	munmap(image, PAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(sizes_that_are_no_image_are_refused)
{
	static const size_t sizes[] = {0, 1, 4095, 4097, 3 * 4096 + 1};
	struct snapshot_row row;

	fixture_setup();
	for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		struct import_request request = {.name = "a", .image = "image"};
		size_t size = sizes[i / 2];
		char *bytes = calloc(1, size + 1);
		int ends[2];

		if (i % 2) {
			ck_assert_int_eq(pipe(ends), 0);
			ck_assert_int_eq(write(ends[1], bytes, size), (ssize_t)size);
			close(ends[1]);
			request.image_fd = ends[0];
		} else {
			request.image_fd = memfd_create("image", 0);
			ck_assert_int_eq(ftruncate(request.image_fd, (off_t)size), 0);
		}
		ck_assert_int_eq(import_image(fixture_store, &request, &row), -EINVAL);
		close(request.image_fd);
		free(bytes);
	}
	ck_assert_uint_eq(number("SELECT count(*) FROM snapshot"), 0);
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
	ck_assert_uint_eq(check_all().findings, 0);
	CK_OK(catalog_remove(fixture_index, "c", false));
	ck_assert(!pack_exists(3));
	ck_assert_uint_eq(number("SELECT count(*) FROM extent"), 0);
	ck_assert_uint_eq(check_all().findings, 0);
	munmap(a, NPAGES * PAGE_BYTES);
	munmap(b, NPAGES * PAGE_BYTES);
	munmap(c, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* A page found known, and removed before the step that shares it commits, is
 * stored after all. */
static void share_what_goes(bool beside)
{
	AUTO(appender_free_at) struct appender *appender = NULL;
	struct window *window = calloc(1, sizeof(*window));
	char *image = fixture_image(WINDOW_PAGES, 17);
	struct appender_totals totals;
	char *found = malloc(WINDOW_PAGES * PAGE_BYTES);
	size_t known = 0;
	uint64_t bad;

	fixture_setup();
	fixture_import("a", image, WINDOW_PAGES);
	window->span.npages = WINDOW_PAGES;
	memcpy(window->plain, image, WINDOW_PAGES * PAGE_BYTES);
	CK_OK(window_classify(window, fixture_index, fixture_pages, NULL, NULL, CODEC_LZ4));
	for (size_t i = 0; i < WINDOW_PAGES; i++) {
		ck_assert_int_ne(window->pages[i].kind, PAGE_NEW);
		known += window->pages[i].kind == PAGE_KNOWN;
	}
	CK_OK(catalog_remove(fixture_index, "a", false));
	ck_assert_uint_eq(number("SELECT count(*) FROM page"), 0);
	CK_OK(sql_do(fixture_index, "INSERT INTO snapshot (id, name, size, page_size, state, "
				    "created_ns) VALUES (99, 'b', 1048576, 4096, 0, 0)"));
	CK_OK(appender_new(fixture_index, 99, CODEC_LZ4, &appender));
	if (beside)
		CK_OK(appender_commit_beside(appender));
	CK_OK(appender_add(appender, window));
	CK_OK(appender_finish(appender, &totals));
	ck_assert_uint_eq(totals.data_pages, known);
	ck_assert_uint_gt(totals.stored_pages, 0);
	for (size_t i = 0; i < WINDOW_PAGES; i++) {
		char sql[160];
		uint64_t id;

		if (window->pages[i].kind == PAGE_ZERO)
			continue;
		snprintf(sql, sizeof(sql),
			 "SELECT page + %zu - first FROM extent WHERE snapshot = 99 AND "
			 "first <= %zu AND first + count > %zu AND page IS NOT NULL",
			 i, i, i);
		{
			sqlite3_stmt *query;

			ck_assert_int_eq(
				sqlite3_prepare_v2(index_db(fixture_index), sql, -1, &query, NULL),
				SQLITE_OK);
			ck_assert_int_eq(sqlite3_step(query), SQLITE_ROW);
			id = (uint64_t)sqlite3_column_int64(query, 0);
			sqlite3_finalize(query);
		}
		CK_OK(pages_read(fixture_pages, id, 1, found, &bad));
		ck_assert_int_eq(memcmp(found, image + i * PAGE_BYTES, PAGE_BYTES), 0);
	}
	free(found);
	free(window);
	munmap(image, WINDOW_PAGES * PAGE_BYTES);
	appender_free(TAKE_PTR(appender));
	fixture_teardown();
}

START_TEST(a_page_that_goes_before_it_is_shared_is_stored)
{
	share_what_goes(false);
	share_what_goes(true);
}
END_TEST

/* What is left for the end of an import is little, where the end is known. */
START_TEST(most_is_committed_before_the_end)
{
	static const struct {
		uint64_t added;
		uint64_t rest;
		uint64_t committed;
	} cases[] = {{24575, 8192, 0}, {24576, 8192, 24576}, {30000, 8191, 0}, {0, 8192, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(appender_free_at) struct appender *appender = NULL;

		fixture_setup();
		CK_OK(sql_do(fixture_index, "INSERT INTO snapshot (id, name, size, page_size, "
					    "state, created_ns) VALUES (99, 'b', 1048576, 4096, "
					    "0, 0)"));
		CK_OK(appender_new(fixture_index, 99, CODEC_LZ4, &appender));
		CK_OK(appender_commit_beside(appender));
		if (cases[i].added > 0)
			CK_OK(appender_add_zero(appender, 5, cases[i].added));
		CK_OK(appender_near_end(appender, cases[i].rest));
		/* this waits for a step that is under way, and makes none */
		appender_free(TAKE_PTR(appender));
		ck_assert_uint_eq(number("SELECT coalesce(sum(count), 0) FROM extent"),
				  cases[i].committed);
		fixture_teardown();
	}
}
END_TEST

struct importer {
	const char *name;
	char *image;
};

static void *import_main(void *argument)
{
	struct importer *importer = argument;

	for (int i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s-%d", importer->name, i);
		fixture_import(name, importer->image, NPAGES);
	}
	return NULL;
}

START_TEST(imports_at_once_do_not_mix)
{
	struct importer importers[] = {{"a", fixture_image(NPAGES, 18)},
				       {"b", fixture_image(NPAGES, 19)},
				       {"c", fixture_image(NPAGES, 18)}};
	pthread_t threads[ARRAY_SIZE(importers)];

	fixture_setup();
	for (size_t i = 0; i < ARRAY_SIZE(importers); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, import_main, &importers[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(importers); i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < ARRAY_SIZE(importers); i++)
		for (int n = 0; n < 3; n++) {
			char name[32];

			snprintf(name, sizeof(name), "%s-%d", importers[i].name, n);
			CK_OK(fixture_compare(name, importers[i].image, NPAGES));
		}
	ck_assert_uint_eq(check_all().findings, 0);
	for (size_t i = 0; i < ARRAY_SIZE(importers); i++)
		munmap(importers[i].image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* An import cut off: its row is there, nobody leases it. */
START_TEST(what_a_killed_import_left_is_swept)
{
	char *image = fixture_image(NPAGES, 20);
	struct snapshot_row row;
	int ends[2];
	pid_t pid;
	int status;

	fixture_setup();
	fixture_close();
	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	if (pid == 0) { /* dies in the middle of a pipe that never ends */
		struct import_request request = {.name = "a", .image = "-", .image_fd = ends[0]};

		if (store_open(fixture_dir, &fixture_store) < 0)
			_exit(1);
		(void)!import_image(fixture_store, &request, &row);
		_exit(1);
	}
	/* more than a step, so that rows and pack are there when it dies */
	for (int i = 0; i < 3; i++)
		for (size_t at = 0; at < NPAGES * PAGE_BYTES;) {
			ssize_t n = write(ends[1], image + at, NPAGES * (size_t)PAGE_BYTES - at);

			ck_assert_int_gt(n, 0);
			at += (size_t)n;
		}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	fixture_open();
	ck_assert_uint_eq(number("SELECT count(*) FROM snapshot WHERE state = 0"), 1);
	ck_assert_int_eq(catalog_find(fixture_index, "a", &row), -ENOENT);
	ck_assert_int_eq(catalog_next(fixture_index, 0, &row), -ENOENT);
	discard_leftovers(fixture_index);
	ck_assert_uint_eq(number("SELECT count(*) FROM snapshot"), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM page"), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM pack"), 0);
	ck_assert(!pack_exists(1));
	fixture_import("a", image, NPAGES);
	CK_OK(fixture_compare("a", image, NPAGES));
	close(ends[0]);
	close(ends[1]);
	munmap(image, NPAGES * PAGE_BYTES);
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
	ck_assert_uint_eq(check_all().findings, 0);
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
		ck_assert_uint_eq(check_all().findings, 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(check_all().findings, 0);
	fixture_teardown();
}
END_TEST

/* What the store has is looked up, and of the rest little. */
START_TEST(what_is_not_known_is_not_looked_up)
{
	char *image = fixture_image(NPAGES, 21);
	struct known *known;
	uint64_t rows;
	uint64_t taken = 0;

	fixture_setup();
	CK_OK(known_new(fixture_index, NPAGES, &known));
	for (uint64_t i = 0; i < NPAGES; i++)
		taken += known_meet(known, i * UINT64_C(0x9e3779b97f4a7c15));
	ck_assert_uint_lt(taken, NPAGES / 8);
	for (uint64_t i = 0; i < NPAGES; i++) /* it has met them */
		ck_assert(known_meet(known, i * UINT64_C(0x9e3779b97f4a7c15)));
	known_free(known);

	fixture_import("a", image, NPAGES);
	rows = number("SELECT count(*) FROM page");
	for (uint64_t npages = rows - 1; npages <= rows; npages++) {
		CK_OK(known_new(fixture_index, npages, &known));
		for (uint64_t pgno = 0; pgno < NPAGES; pgno++)
			ck_assert(page_is_zero(image + pgno * PAGE_BYTES) ||
				  known_meet(known, page_hash(image + pgno * PAGE_BYTES)));
		/* one more than there is page for: all may be known */
		ck_assert(known_meet(known, 12345) == (npages < rows));
		known_free(known);
	}
	munmap(image, NPAGES * PAGE_BYTES);
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

UNIT_MAIN("store", an_image_reads_back_at_any_offset, how_an_image_is_read_makes_no_difference,
	  equal_pages_are_stored_once, sizes_that_are_no_image_are_refused,
	  removing_gives_back_what_nobody_shares, a_page_that_goes_before_it_is_shared_is_stored,
	  most_is_committed_before_the_end, imports_at_once_do_not_mix,
	  what_a_killed_import_left_is_swept, a_file_in_the_way_of_a_pack_stays,
	  a_pack_that_is_needed_is_never_dropped, check_finds_nothing_while_snapshots_come_and_go,
	  what_is_not_known_is_not_looked_up, a_step_knows_how_long_the_log_is)
