/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/attachment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fail.h"
#include "db/attachment-private.h"
#include "db/catalog.h"
#include "db/sql.h"
#include "db/transaction.h"

#define PIECE_BYTES (1 << 20)

/* The snapshot's own, as attachment_read. */
static int read_own(struct index *index, uint64_t id, const char *name, void **ret_data,
		    size_t *ret_len)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	const void *blob;
	size_t len;
	char *data;
	int r = sql_get(index,
			"SELECT hash, data FROM attachment WHERE snapshot = ?1 AND name = ?2",
			&query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	sqlite3_bind_text(query, 2, name, -1, SQLITE_STATIC);
	r = sql_step(index, query);
	if (r <= 0)
		return r < 0 ? r : fail_with(-ENOENT, "snapshot %" PRIu64 " has no %s", id, name);
	blob = sqlite3_column_blob(query, 1);
	len = (size_t)sqlite3_column_bytes(query, 1);
	if (XXH3_64bits(blob, len) != sql_column(query, 0))
		return fail_with(-EBADMSG, "the %s of snapshot %" PRIu64 " is not what was stored",
				 name, id);
	data = malloc(len + 1);
	if (!data)
		return fail_with(-ENOMEM, "out of memory");
	if (len > 0)
		memcpy(data, blob, len);
	*ret_data = data;
	*ret_len = len;
	return 0;
}

int attachment_read(struct index *index, uint64_t id, const char *name, void **ret_data,
		    size_t *ret_len)
{
	static const char sql[] = "SELECT parent FROM snapshot WHERE id = ?1 AND state = 1 AND "
				  "parent IS NOT NULL";
	int64_t parent;
	int r = read_own(index, id, name, ret_data, ret_len);

	if (r != -ENOENT || strcmp(name, "vmstate") != 0)
		return r;
	r = sql_number(index, sql, (int64_t)id, &parent);
	if (r == 0) /* sealed, so with one of its own */
		r = read_own(index, (uint64_t)parent, name, ret_data, ret_len);
	return r == -ENOENT ? fail_with(r, "snapshot %" PRIu64 " has no %s", id, name) : r;
}

int attachment_check_size(const char *name, size_t len)
{
	if (len > ATTACHMENT_BYTES_MAX)
		return fail_with(-EFBIG, "a %s of %zu bytes is more than the %" PRIu64 " MiB kept",
				 name, len, ATTACHMENT_BYTES_MAX >> 20);
	return 0;
}

/* Room for the bytes, which come after: bound as a value they would be copied. */
static int insert_room(struct index *index, uint64_t id, const char *name, uint64_t hash,
		       size_t len)
{
	static const char sql[] = "INSERT INTO attachment (snapshot, name, hash, data) "
				  "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (snapshot, name) "
				  "DO UPDATE SET hash = excluded.hash, data = excluded.data";
	AUTO_RESET sqlite3_stmt *insert = NULL;
	int r = sql_get(index, sql, &insert);

	if (r < 0)
		return r;
	sql_bind(insert, 1, id);
	sqlite3_bind_text(insert, 2, name, -1, SQLITE_STATIC);
	sql_bind(insert, 3, hash);
	sqlite3_bind_zeroblob64(insert, 4, len);
	return sql_run(index, insert);
}

static int rowid_find(struct index *index, uint64_t id, const char *name, int64_t *ret)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, "SELECT id FROM attachment WHERE snapshot = ?1 AND name = ?2",
			&query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	sqlite3_bind_text(query, 2, name, -1, SQLITE_STATIC);
	r = sql_step(index, query);
	if (r > 0)
		*ret = sqlite3_column_int64(query, 0);
	return r < 0   ? r
	       : r > 0 ? 0
		       : fail_with(-EBADMSG, "the %s just written is not there", name);
}

static int write_bytes(struct index *index, int64_t rowid, const char *data, size_t len)
{
	sqlite3 *db = index_db(index);
	sqlite3_blob *blob = NULL;
	int code = sqlite3_blob_open(db, "main", "attachment", "data", rowid, 1, &blob);

	for (size_t at = 0; code == SQLITE_OK && at < len; at += PIECE_BYTES) {
		size_t n = MIN(len - at, (size_t)PIECE_BYTES);

		code = sqlite3_blob_write(blob, data + at, (int)n, (int)at);
	}
	if (code != SQLITE_OK)
		code = sql_error(db, code, "writing an attachment");
	sqlite3_blob_close(blob);
	return code;
}

int attachment_put(struct index *index, uint64_t id, const char *name, const void *data, size_t len)
{
	int64_t rowid = 0;
	int r = attachment_check_size(name, len);

	if (r == 0)
		r = insert_room(index, id, name, XXH3_64bits(data, len), len);
	if (r == 0)
		r = rowid_find(index, id, name, &rowid);
	return r < 0 ? r : write_bytes(index, rowid, data, len);
}

int attachment_write(struct index *index, uint64_t id, const char *name, const void *data,
		     size_t len)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct snapshot_row row;
	int r = attachment_check_size(name, len);

	if (r == 0)
		r = transaction_begin(index, TRANSACTION_CATALOG, &open);
	if (r == 0)
		r = catalog_find_id(index, id, &row);
	if (r == 0)
		r = attachment_put(index, id, name, data, len);
	return r < 0 ? r : transaction_commit(&open);
}
