/* SPDX-License-Identifier: Apache-2.0 */
/* The index of the fixture's store, looked at and changed by SQL, and its packs. */
#ifndef PAGODA_TESTS_INDEX_FIXTURE_H
#define PAGODA_TESTS_INDEX_FIXTURE_H

#include "db/check.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"
#include "tests/store-fixture.h"

static inline void run_sql(struct index *index, const char *sql)
{
	AUTO(transaction_end_at) struct index *open = NULL;

	CK_OK(transaction_begin(index, TRANSACTION_STEP, &open));
	ck_assert_msg(sqlite3_exec(index_db(index), sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s",
		      sql, sqlite3_errmsg(index_db(index)));
	CK_OK(transaction_commit(&open));
}

/* The only number that a query answers. */
static inline uint64_t number(const char *sql)
{
	sqlite3_stmt *query;
	uint64_t value;

	ck_assert_msg(sqlite3_prepare_v2(index_db(fixture_index), sql, -1, &query, NULL) ==
			      SQLITE_OK,
		      "%s: %s", sql, sqlite3_errmsg(index_db(fixture_index)));
	ck_assert_int_eq(sqlite3_step(query), SQLITE_ROW);
	value = (uint64_t)sqlite3_column_int64(query, 0);
	sqlite3_finalize(query);
	return value;
}

static inline void print_finding(void *context, const char *snapshot, const char *what)
{
	(void)context;
	printf("found: %s: %s\n", snapshot, what);
}

/* How many things check finds wrong, so much of the data read. */
static inline uint64_t findings_reading(unsigned int percent)
{
	struct check_request request = {.read_percent = percent, .found = print_finding};
	struct check_report report;

	CK_OK(check_store(fixture_index, &request, &report));
	return report.findings;
}

static inline uint64_t findings(void)
{
	return findings_reading(100);
}

static inline void pack_path_of(uint64_t pack, char path[128])
{
	snprintf(path, 128, "%s/packs/%u.pack", fixture_dir, (unsigned int)pack);
}

static inline bool pack_exists(uint64_t pack)
{
	char path[128];

	pack_path_of(pack, path);
	return access(path, F_OK) == 0;
}

/* Flips the lowest bit of a byte; the same again puts it right. */
static inline void pack_flip(uint64_t pack, long offset)
{
	char path[128];
	FILE *file;
	int c;

	pack_path_of(pack, path);
	file = fopen(path, "r+");
	ck_assert_ptr_nonnull(file);
	fseek(file, offset, SEEK_SET);
	c = fgetc(file);
	fseek(file, offset, SEEK_SET);
	fputc(c ^ 1, file);
	ck_assert_int_eq(fclose(file), 0);
}

#endif
