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

int attachment_read(struct index *index, uint64_t id, const char *name, void **ret_data,
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

int attachment_check_size(const char *name, size_t len)
{
	if (len > ATTACHMENT_BYTES_MAX)
		return fail_with(-EFBIG, "a %s of %zu bytes is more than the %" PRIu64 " MiB kept",
				 name, len, ATTACHMENT_BYTES_MAX >> 20);
	return 0;
}

int attachment_put(struct index *index, uint64_t id, const char *name, const void *data, size_t len)
{
	static const char sql[] = "INSERT INTO attachment (snapshot, name, hash, data) "
				  "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (snapshot, name) "
				  "DO UPDATE SET hash = excluded.hash, data = excluded.data";
	AUTO_RESET sqlite3_stmt *insert = NULL;
	int r = attachment_check_size(name, len);

	if (r == 0)
		r = sql_get(index, sql, &insert);
	if (r < 0)
		return r;
	sql_bind(insert, 1, id);
	sqlite3_bind_text(insert, 2, name, -1, SQLITE_STATIC);
	sql_bind(insert, 3, XXH3_64bits(data, len));
	/* a NULL pointer would bind NULL, not the empty blob */
	sqlite3_bind_blob64(insert, 4, len ? data : "", len, SQLITE_STATIC);
	return sql_run(index, insert);
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
