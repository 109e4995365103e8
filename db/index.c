/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections. What SQLite is told at each: nothing in the file may run code
 * (trusted_schema off, DEFENSIVE), a read error is an error and no signal (no
 * mmap), and nobody checkpoints but who holds the writer lock: SQLite before
 * 3.51.3 can damage a database when a checkpoint meets a reset of the log.
 */
#include "config.h"

#include "db/index.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "db/index-private.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/wal.h"

/* The errno of the last system call that failed on index.db or its log, 0 for none. A
 * file keeps it, so it says something only of a call that has just failed. */
static int file_errno(sqlite3 *db)
{
	sqlite3_file *log = NULL;
	int error = 0;

	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
	    log && log->pMethods)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
	if (error == 0)
		sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
	return error;
}

/* The errno behind a code. A sync that fails at a COMMIT does not reach
 * sqlite3_system_errno, and a read that fails with EIO is told as damage. */
static int system_errno(sqlite3 *db, int code)
{
	int error = db ? sqlite3_system_errno(db) : 0;

	if (!db || ((code & 0xff) != SQLITE_IOERR && (code & 0xff) != SQLITE_CORRUPT))
		return error;
	if ((code & 0xff) == SQLITE_CORRUPT || error == 0)
		error = file_errno(db);
	return error;
}

static int code_errno(int code, int system)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
		return system == EIO ? -EIO : -EBADMSG;
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_SCHEMA:
	case SQLITE_ERROR:	/* our own statements are right: the schema is not */
	case SQLITE_CONSTRAINT: /* names are looked up before: ids were used twice */
		return -EBADMSG;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
		return system ? -system : -EIO;
	case SQLITE_TOOBIG:
		return -EFBIG;
	case SQLITE_IOERR:
		if (system == ENOSPC || system == EDQUOT || system == EFBIG)
			return -system;
		return -EIO;
	default:
		return -EIO;
	}
}

int sql_error(sqlite3 *db, int code, const char *doing)
{
	int system = system_errno(db, code);
	int err = code_errno(code, system);
	const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);

	if (err == -EIO && (code & 0xff) == SQLITE_CORRUPT)
		return fail_with(err, "index.db: %s: %s", doing, strerror(EIO));
	if ((code & 0xff) == SQLITE_IOERR && system)
		return fail_with(err, "index.db: %s: %s (%s)", doing, text, strerror(system));
	return fail_with(err, "index.db: %s: %s", doing, text);
}

sqlite3 *index_db(struct index *index)
{
	return index->db;
}

struct store *index_store(const struct index *index)
{
	return index->store;
}

void index_on_wait(struct index *index, void (*waits)(void *arg), void *arg)
{
	index->waits = waits;
	index->waits_arg = arg;
}

bool index_tells_waits(const struct index *index)
{
	return index->waits;
}

void index_waits(struct index *index)
{
	if (index->waits)
		index->waits(index->waits_arg);
}

int sql_get(struct index *index, const char *sql, sqlite3_stmt **ret)
{
	sqlite3_stmt *statement;
	int code;

	for (size_t i = 0; i < index->nstatements; i++)
		if (index->statements[i].sql == sql) {
			statement = index->statements[i].statement;
			sqlite3_reset(statement);
			sqlite3_clear_bindings(statement);
			*ret = statement;
			return 0;
		}
	if (index->nstatements == INDEX_STATEMENTS_MAX)
		return fail_with(-ENOMEM, "more statements than expected");
	code = sqlite3_prepare_v3(index->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
	if (code != SQLITE_OK)
		return sql_error(index->db, code, "preparing a statement");
	index->statements[index->nstatements].sql = sql;
	index->statements[index->nstatements++].statement = statement;
	*ret = statement;
	return 0;
}

int sql_step(struct index *index, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE)
		return 0;
	return sql_error(index->db, code,
			 sqlite3_column_count(statement) > 0 ? "reading" : "writing");
}

int sql_run(struct index *index, sqlite3_stmt *statement)
{
	int r = sql_step(index, statement);

	sqlite3_reset(statement);
	return MIN(r, 0);
}

int sql_do(struct index *index, const char *sql)
{
	sqlite3_stmt *statement;
	int r = sql_get(index, sql, &statement);

	return r < 0 ? r : sql_run(index, statement);
}

static const char read_end_sql[] = "COMMIT";

int sql_read_begin(struct index *index, bool *ret_begun)
{
	bool begun = sqlite3_get_autocommit(index_db(index)) != 0;
	sqlite3_stmt *commit;
	int r = 0;

	/* ready before it is needed: out of memory it could not be made */
	if (begun)
		r = sql_get(index, read_end_sql, &commit);
	if (begun && r == 0)
		r = sql_do(index, "BEGIN");
	if (r < 0) { /* BEGIN may have failed when all but done */
		sql_read_end(index, begun);
		return r;
	}
	*ret_begun = begun;
	return 0;
}

void sql_read_end(struct index *index, bool begun)
{
	sqlite3_stmt *commit;

	/* nothing was written, so nothing can be lost */
	if (!begun || sqlite3_get_autocommit(index_db(index)) ||
	    sql_get(index, read_end_sql, &commit) < 0)
		return;
	sqlite3_step(commit);
	sqlite3_reset(commit);
}

int sql_number(struct index *index, const char *sql, int64_t id, int64_t *ret)
{
	AUTO_RESET sqlite3_stmt *statement = NULL;
	int r = sql_get(index, sql, &statement);

	if (r < 0)
		return r;
	if (sqlite3_bind_parameter_count(statement) > 0)
		sqlite3_bind_int64(statement, 1, id);
	r = sql_step(index, statement);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = sqlite3_column_int64(statement, 0);
	return 0;
}

int sql_next(struct index *index, const char *sql, uint64_t *id)
{
	int64_t next;
	int r = sql_number(index, sql, (int64_t)*id, &next);

	if (r < 0)
		return r;
	if (next < 0 || (uint64_t)next <= *id)
		return fail_with(-EBADMSG, "index.db: its rows are out of order");
	*id = (uint64_t)next;
	return 0;
}

int sql_vacuum(struct index *index, unsigned int pages)
{
	char sql[64];
	int code;

	snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%u)", pages);
	code = sqlite3_exec(index->db, sql, NULL, NULL, NULL);
	return code == SQLITE_OK ? 0 : sql_error(index->db, code, "giving back free pages");
}

/* A file: URI for path; the caller frees it. NULL when out of memory. */
static char *make_uri(const char *path, bool immutable)
{
	char *uri = malloc(3 * strlen(path) + 32);
	char *to = uri;

	if (!uri)
		return NULL;
	to += sprintf(to, "file:");
	for (; *path; path++) {
		if (isalnum((unsigned char)*path) || strchr("/._-", *path))
			*to++ = *path;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*path);
	}
	strcpy(to, immutable ? "?immutable=1" : "");
	return uri;
}

static int configure(struct index *index)
{
	static const char pragmas[] = "PRAGMA trusted_schema = OFF;"
				      "PRAGMA cell_size_check = ON;"
				      "PRAGMA mmap_size = 0;"
				      "PRAGMA wal_autocheckpoint = 0;"
				      "PRAGMA synchronous = FULL;"
				      "PRAGMA temp_store = MEMORY;"
				      "PRAGMA cache_size = -2048;";
	sqlite3 *db = index->db;
	int persist = 1;
	int code;

	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, INDEX_BUSY_WAIT_MS);
	sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 80 << 20);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	/* who may only read needs index.db-shm to be there */
	sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	code = sqlite3_exec(db, pragmas, NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return sql_error(db, code, "opening");
	wal_watch(index);
	return 0;
}

/* Nobody asks how much memory SQLite has, and to count it every allocation takes a mutex
 * of the process, where the threads of an import meet. */
static void configure_process(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int index_open(struct store *store, struct index **ret_index)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	AUTO(index_close_at) struct index *index = calloc(1, sizeof(*index));
	AUTO_FREE char *uri = make_uri(store->index_path, store->access == STORE_IMMUTABLE);
	int flags = store->access == STORE_WRITABLE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
	int code;
	int r;

	if (!index || !uri)
		return fail_with(-ENOMEM, "out of memory");
	index->store = store;
	pthread_once(&once, configure_process);
	code = sqlite3_open_v2(uri, &index->db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
			       NULL);
	if (code != SQLITE_OK)
		return sql_error(index->db, code, "opening");
	/* where opening it fails SQLite tries once more, for reading only */
	if (store->access == STORE_WRITABLE && sqlite3_db_readonly(index->db, "main") != 0)
		return fail_with(-EIO, "index.db: it cannot be opened for writing");
	r = configure(index);
	if (r < 0)
		return r;
	*ret_index = TAKE_PTR(index);
	return 0;
}

int index_keep_little(struct index *index)
{
	int code = sqlite3_exec(index->db, "PRAGMA cache_size = -256", NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : sql_error(index->db, code, "opening");
}

void index_close(struct index *index)
{
	if (!index)
		return;
	for (size_t i = 0; i < index->nstatements; i++)
		sqlite3_finalize(index->statements[i].statement);
	sqlite3_close(index->db);
	free(index);
}
