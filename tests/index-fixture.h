/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of the fixture's store, looked at and changed by SQL; and whoever else may
 * come in between: transaction_begin is wrapped, and calls a hook before the write
 * transaction that a test names. Only tests that are linked with
 * --wrap=transaction_begin include this.
 */
#ifndef PAGODA_TESTS_INDEX_FIXTURE_H
#define PAGODA_TESTS_INDEX_FIXTURE_H

#include "db/check.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"
#include "tests/store-fixture.h"

int __real_transaction_begin(struct index *index, enum transaction_kind kind,
			     struct index **ret_open);
int __wrap_transaction_begin(struct index *index, enum transaction_kind kind,
			     struct index **ret_open);

static void (*hook)(struct index *index);
static int hook_countdown;
static enum transaction_kind hook_kind;

/* call comes before the transaction of that kind which makes the countdown 0, with a
 * connection of its own. hook is NULL from then on. */
static inline void hook_set(void (*call)(struct index *), enum transaction_kind kind, int countdown)
{
	hook = call;
	hook_kind = kind;
	hook_countdown = countdown;
}

int __wrap_transaction_begin(struct index *index, enum transaction_kind kind,
			     struct index **ret_open)
{
	void (*call)(struct index *) = hook;

	if (call && kind == hook_kind && --hook_countdown == 0) {
		AUTO(index_close_at) struct index *other = NULL;

		hook = NULL;
		CK_OK(index_open(fixture_store, &other));
		call(other);
	}
	return __real_transaction_begin(index, kind, ret_open);
}

static inline void run_sql(struct index *index, const char *sql)
{
	AUTO(transaction_end_at) struct index *open = NULL;

	CK_OK(__real_transaction_begin(index, TRANSACTION_STEP, &open));
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

/* How many things check finds wrong, all pages read. */
static inline uint64_t findings(void)
{
	struct check_request request = {.read_percent = 100, .found = print_finding};
	struct check_report report;

	CK_OK(check_store(fixture_index, &request, &report));
	return report.findings;
}

static inline void pack_path_of(uint64_t pack, char path[128])
{
	snprintf(path, 128, "%s/packs/%u.pack", fixture_dir, (unsigned int)pack);
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
