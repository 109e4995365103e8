/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing: what is read, what of it is stored, and what is shared with what is there.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "db/appender.h"
#include "db/discard.h"
#include "db/index-private.h"
#include "db/known.h"
#include "db/page.h"
#include "tests/index-fixture.h"
#include "tests/unit.h"

#define NPAGES 3000

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
	ck_assert_uint_eq(findings(), 0);
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

UNIT_MAIN("import", how_an_image_is_read_makes_no_difference, equal_pages_are_stored_once,
	  sizes_that_are_no_image_are_refused, a_page_that_goes_before_it_is_shared_is_stored,
	  most_is_committed_before_the_end, imports_at_once_do_not_mix,
	  what_a_killed_import_left_is_swept, what_is_not_known_is_not_looked_up)
