/* SPDX-License-Identifier: Apache-2.0 */
/* The marks of a collection follow whatever comes to name a page. */
#include "config.h"

#include "db/marks.h"
#include "tests/gc-fixture.h"
#include "tests/unit.h"

/* What an import has at the end of a look may grow, and what it was sealed with counts
 * as well. */
START_TEST(marks_follow_an_import)
{
	AUTO(marks_free_at) struct marks *marks = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	bool all = false;

	fixture_setup();
	CK_OK(index_open(fixture_store, &index));
	CK_OK(marks_new(index, 0, &marks));
	shared_id = 10;
	name_by_import(fixture_index);
	CK_OK(marks_load(marks, 1));
	ck_assert(marks_has(marks, 10) && !marks_has(marks, 11) && !marks_has(marks, 9));
	run_sql(fixture_index, "UPDATE extent SET count = 5 WHERE first = 3");
	CK_OK(marks_catch_up(marks, 100, &all));
	ck_assert(all && marks_has(marks, 14) && !marks_has(marks, 15));
	/* more at once than one look reads */
	run_sql(fixture_index,
		"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19) "
		"INSERT INTO extent SELECT (SELECT max(id) FROM snapshot), 10 + i, 1, 20 + 2 * i "
		"FROM n");
	for (int looks = 0; looks < 10; looks++)
		CK_OK(marks_catch_up(marks, 100, &all));
	ck_assert(all && marks_has(marks, 58) && !marks_has(marks, 57));
	run_sql(fixture_index,
		"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9) "
		"INSERT INTO extent SELECT (SELECT max(id) FROM snapshot), 90 + i, 1, 80 + 2 * i "
		"FROM n;"
		"UPDATE snapshot SET state = 2, layer_data = 35, layer_zero = 3");
	locks_drop_lease(fixture_store->locks, hook_snapshot);
	for (int looks = 0; looks < 10; looks++)
		CK_OK(marks_catch_up(marks, 100, &all));
	ck_assert(all && marks_has(marks, 80) && marks_has(marks, 98));
	/* another window */
	CK_OK(marks_load(marks, 58));
	ck_assert(marks_has(marks, 58) && marks_has(marks, 80) && !marks_has(marks, 14));
	marks_free(TAKE_PTR(marks));
	index_close(TAKE_PTR(index));
	fixture_teardown();
}
END_TEST

/* A draft may come to name anything, anywhere. */
START_TEST(marks_follow_a_draft)
{
	AUTO(marks_free_at) struct marks *marks = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	bool all = false;

	fixture_setup();
	CK_OK(index_open(fixture_store, &index));
	CK_OK(marks_new(index, 0, &marks));
	run_sql(fixture_index,
		"INSERT INTO snapshot (name, size, page_size, state, created_ns) "
		"VALUES ('draft', 1048576, 4096, 1, 0);"
		"INSERT INTO extent VALUES (1, 0, 2, 10), (1, 50, 2, 20), (1, 60, 2, 30), "
		"(1, 70, 1, 40), (1, 80, 1, 50)");
	CK_OK(marks_load(marks, 1));
	ck_assert(marks_has(marks, 10) && marks_has(marks, 50) && !marks_has(marks, 51));
	run_sql(fixture_index, "UPDATE extent SET page = 100 WHERE first = 0");
	/* too many for a look that is to be short */
	CK_OK(marks_catch_up(marks, 3, &all));
	ck_assert(!all);
	CK_OK(marks_catch_up(marks, 5, &all));
	ck_assert(all && marks_has(marks, 100) && marks_has(marks, 101) && marks_has(marks, 10));
	/* nothing came: that is said at once */
	CK_OK(marks_catch_up(marks, 0, &all));
	ck_assert(all);
	run_sql(fixture_index, "UPDATE extent SET count = 3 WHERE first = 60;"
			       "UPDATE snapshot SET state = 2, layer_data = 9");
	CK_OK(marks_catch_up(marks, 100, &all));
	ck_assert(all && marks_has(marks, 32));
	marks_free(TAKE_PTR(marks));
	index_close(TAKE_PTR(index));
	fixture_teardown();
}
END_TEST

UNIT_MAIN("marks", marks_follow_an_import, marks_follow_a_draft)
