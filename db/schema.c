/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that was handed to us may hold views instead of tables, triggers, checks
 * with functions. Nothing of it runs before its schema was compared, word by
 * word, with that of an index made from db/schema.sql in memory.
 */
#include "config.h"

#include "db/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"
#include "db/sql.h"
#include "db/store.h"

static const char schema_sql[] =
#include "db/schema.sql.h"
	;

#define APPLICATION_ID 0x5061676f
#define FORMAT_PLAIN 1 /* what a store is made with: all blocks are LZ4 or plain */
#define FORMAT_CODEC 2 /* rows name their codec; the same schema */

static const char list_sql[] = "SELECT type, name, tbl_name, coalesce(sql, '') "
			       "FROM sqlite_schema ORDER BY type, name";

static void sql_close_at(sqlite3 **db)
{
	sqlite3_close(*db);
}

static void sql_finalize_at(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}

static int fill(sqlite3 *db, const uint8_t *uuid)
{
	AUTO(sql_finalize_at) sqlite3_stmt *insert = NULL;
	int code = sqlite3_exec(db, schema_sql, NULL, NULL, NULL);

	if (code == SQLITE_OK) /* page ids are handed out in blocks from this row */
		code = sqlite3_exec(db,
				    "INSERT INTO sqlite_sequence (name, seq) VALUES ('page', 0)",
				    NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(db, "INSERT INTO store VALUES (1, ?1, 1, ?2)", -1,
					  &insert, NULL);
	if (code != SQLITE_OK)
		return sql_error(db, code, "making the schema");
	sqlite3_bind_blob(insert, 1, uuid, STORE_UUID_BYTES, SQLITE_STATIC);
	sqlite3_bind_int64(insert, 2, (int64_t)clock_wall_ns());
	code = sqlite3_step(insert);
	if (code != SQLITE_DONE)
		return sql_error(db, code, "making the schema");
	return 0;
}

int schema_create(const char *path, const uint8_t *uuid)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	AUTO(sql_close_at) sqlite3 *db = NULL;
	int code;
	int r;

	if (fd < 0)
		return fail_with(-errno, "%s: %s", path, strerror(errno));
	code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db,
				    "PRAGMA synchronous = FULL; PRAGMA auto_vacuum = INCREMENTAL;"
				    "BEGIN",
				    NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return sql_error(db, code, "making it");
	r = fill(db, uuid);
	if (r < 0)
		return r;
	code = sqlite3_exec(db, "COMMIT; PRAGMA journal_mode = WAL", NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return sql_error(db, code, "making it");
	return fsync(fd) == 0 ? 0 : fail_with(-errno, "%s: %s", path, strerror(errno));
}

/* Text that is not there is damage, unless there was no memory for it. */
static int no_text(sqlite3 *found_db, sqlite3 *wanted_db)
{
	if ((sqlite3_errcode(found_db) & 0xff) == SQLITE_NOMEM ||
	    (sqlite3_errcode(wanted_db) & 0xff) == SQLITE_NOMEM)
		return fail_with(-ENOMEM, "reading the schema: out of memory");
	return fail_with(-EBADMSG, "index.db: its schema is not that of a store");
}

/* Both step by step through their lists. */
static int compare_lists(sqlite3 *found_db, sqlite3_stmt *found, sqlite3_stmt *wanted)
{
	for (;;) {
		int found_code = sqlite3_step(found);
		int wanted_code = sqlite3_step(wanted);

		if (found_code != SQLITE_ROW && found_code != SQLITE_DONE)
			return sql_error(found_db, found_code, "reading the schema");
		if (wanted_code != SQLITE_ROW && wanted_code != SQLITE_DONE)
			return sql_error(sqlite3_db_handle(wanted), wanted_code,
					 "making the schema to compare with");
		if (found_code == SQLITE_DONE && wanted_code == SQLITE_DONE)
			return 0;
		if (found_code != wanted_code)
			return fail_with(-EBADMSG, "index.db: its schema is not that of a store");
		for (int column = 0; column < 4; column++) {
			const char *a = (const char *)sqlite3_column_text(found, column);
			const char *b = (const char *)sqlite3_column_text(wanted, column);

			if (!a || !b) /* no column is NULL in either */
				return no_text(found_db, sqlite3_db_handle(wanted));
			if (strcmp(a, b) != 0)
				return fail_with(-EBADMSG,
						 "index.db: its schema is not that of a store: "
						 "%.60s '%.60s' differs",
						 (const char *)sqlite3_column_text(found, 0),
						 (const char *)sqlite3_column_text(found, 1));
		}
	}
}

static int check_numbers(struct index *index)
{
	int64_t application = 0;
	int64_t format = 0;
	int r = sql_number(index, "PRAGMA application_id", 0, &application);

	if (r == 0)
		r = sql_number(index, "PRAGMA user_version", 0, &format);
	if (r < 0)
		return r;
	if (application != APPLICATION_ID)
		return fail_with(-EBADMSG,
				 "index.db: application_id %" PRId64 " is not that of a store",
				 application);
	if (format > FORMAT_CODEC)
		return fail_with(-EPROTONOSUPPORT,
				 "the store has format %" PRId64 ", this program knows up to %d: "
				 "use a newer one",
				 format, FORMAT_CODEC);
	if (format < FORMAT_PLAIN)
		return fail_with(-EBADMSG, "index.db: format number %" PRId64 " never was", format);
	return 0;
}

int schema_check(struct index *index)
{
	AUTO(sql_close_at) sqlite3 *memory = NULL;
	AUTO(sql_finalize_at) sqlite3_stmt *wanted = NULL;
	AUTO(sql_finalize_at) sqlite3_stmt *found = NULL;
	int code;
	int r = check_numbers(index);

	if (r < 0)
		return r;
	code = sqlite3_open(":memory:", &memory);
	if (code == SQLITE_OK)
		code = sqlite3_exec(memory, schema_sql, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(memory, list_sql, -1, &wanted, NULL);
	if (code != SQLITE_OK)
		return sql_error(memory, code, "making the schema to compare with");
	code = sqlite3_prepare_v2(index_db(index), list_sql, -1, &found, NULL);
	if (code != SQLITE_OK)
		return sql_error(index_db(index), code, "reading the schema");
	return compare_lists(index_db(index), found, wanted);
}

int schema_need_codec(struct index *index, enum codec codec)
{
	int64_t format = 0;
	int r = 0;

	if (codec == CODEC_LZ4)
		return 0;
	r = sql_number(index, "PRAGMA user_version", 0, &format);
	if (r < 0 || format >= FORMAT_CODEC)
		return r;
	return sql_do(index, "PRAGMA user_version = 2");
}
