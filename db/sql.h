/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite as db/ uses it: cached statements, and its error codes as -errno.
 *
 * Private to db/. Statements belong to the thread of their index. A statement
 * that is not reset keeps a read transaction open, so every one is held in an
 * AUTO_RESET local.
 */
#ifndef PAGODA_DB_SQL_H
#define PAGODA_DB_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/index.h"

static inline void sql_reset_at(sqlite3_stmt **statement)
{
	if (*statement)
		sqlite3_reset(*statement);
}

#define AUTO_RESET AUTO(sql_reset_at)

/* The errno of an SQLite result code, with words. doing names the step. */
int sql_error(sqlite3 *db, int code, const char *doing);

/* The statement of that SQL text, prepared once per index; reset and without
 * bindings. sql is a string literal: it is looked up by its address. */
int sql_get(struct index *index, const char *sql, sqlite3_stmt **ret) MUST_CHECK;

/* 1: a row, 0: done. */
int sql_step(struct index *index, sqlite3_stmt *statement) MUST_CHECK;

/* Steps a statement that returns no rows to its end and resets it. */
int sql_run(struct index *index, sqlite3_stmt *statement) MUST_CHECK;

/* sql_get and sql_run, for a statement without parameters. */
int sql_do(struct index *index, const char *sql) MUST_CHECK;

/* The integer in the first column of the first row with id bound as ?1; -ENOENT
 * where there is no row. */
int sql_number(struct index *index, const char *sql, int64_t id, int64_t *ret) MUST_CHECK;

/* Walks ids: the first column of the first row with *id bound as ?1 becomes *id.
 * -ENOENT at the end, -EBADMSG where it is not above the former: a damaged b-tree
 * may come back to where it was, for ever. */
int sql_next(struct index *index, const char *sql, uint64_t *id) MUST_CHECK;

/* Gives up to so many free pages of index.db back, inside a write transaction. Where it
 * was made without auto_vacuum it does nothing. */
int sql_vacuum(struct index *index, unsigned int pages) MUST_CHECK;

/* Binding cannot fail but for memory; sqlite then keeps NULL and NOT NULL
 * columns refuse it. */
static inline void sql_bind(sqlite3_stmt *statement, int column, uint64_t value)
{
	sqlite3_bind_int64(statement, column, (int64_t)value);
}

static inline uint64_t sql_column(sqlite3_stmt *statement, int column)
{
	return (uint64_t)sqlite3_column_int64(statement, column);
}

sqlite3 *index_db(struct index *index);

/* Several statements see one state of the index and take SQLite's locks once:
 * *ret_begun goes to sql_read_end. Inside another transaction there is nothing to do. */
int sql_read_begin(struct index *index, bool *ret_begun) MUST_CHECK;
void sql_read_end(struct index *index, bool begun);

#endif
