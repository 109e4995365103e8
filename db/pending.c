/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/pending.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fail.h"
#include "db/page.h"
#include "db/sql.h"

#define HASH_BYTES 8

/* Decodes a row's data into plain. */
static int decode(const char *data, size_t len, char *plain)
{
	uint64_t hash;

	if (len <= HASH_BYTES || len > HASH_BYTES + PAGE_BYTES)
		return fail_with(-EBADMSG, "its data has %zu bytes", len);
	memcpy(&hash, data, HASH_BYTES);
	return page_decode(CODEC_LZ4, data + HASH_BYTES, len - HASH_BYTES, le64toh(hash), plain);
}

static int load_row(sqlite3_stmt *query, uint64_t npages, struct overlay *overlay)
{
	uint64_t pgno = sql_column(query, 0);
	const char *data = sqlite3_column_blob(query, 1);
	size_t len = (size_t)sqlite3_column_bytes(query, 1);
	char plain[PAGE_BYTES];
	int r;

	if (pgno >= npages)
		return fail_with(-EBADMSG,
				 "a pending page %" PRIu64 " is not inside an image of %" PRIu64
				 " pages",
				 pgno, npages);
	if (len == 0)
		return overlay_zero(overlay, pgno, 1);
	r = decode(data, len, plain);
	if (r < 0)
		return fail_prefix(r, "pending page %" PRIu64, pgno);
	return overlay_put(overlay, pgno, plain);
}

int pending_load(struct index *index, uint64_t id, uint64_t npages, struct overlay **ret)
{
	AUTO(overlay_free_at) struct overlay *overlay = NULL;
	AUTO_RESET sqlite3_stmt *query = NULL;
	uint64_t next = 0;
	int r = overlay_new(&overlay);

	if (r == 0)
		r = sql_get(index,
			    "SELECT pgno, data FROM pending WHERE snapshot = ?1 ORDER BY pgno",
			    &query);
	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	while ((r = sql_step(index, query)) > 0) {
		/* a damaged b-tree may come back to where it was, for ever */
		if (sql_column(query, 0) < next)
			return fail_with(-EBADMSG, "index.db: pending pages are out of order");
		next = sql_column(query, 0) + 1;
		r = load_row(query, npages, overlay);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(overlay);
	return 0;
}

int pending_put(struct index *index, uint64_t id, uint64_t pgno, const void *plain)
{
	AUTO_RESET sqlite3_stmt *insert = NULL;
	char data[HASH_BYTES + PAGE_BYTES];
	struct page_row row;
	size_t len = 0;
	uint64_t hash;
	int r = sql_get(index, "INSERT OR REPLACE INTO pending VALUES (?1, ?2, ?3)", &insert);

	if (r == 0 && plain)
		r = page_encode(CODEC_LZ4, CODEC_QUICK, plain, data + HASH_BYTES, &row);
	if (r < 0)
		return r;
	if (plain) {
		hash = htole64(page_hash(plain));
		memcpy(data, &hash, HASH_BYTES);
		len = HASH_BYTES + row.length;
	}
	sql_bind(insert, 1, id);
	sql_bind(insert, 2, pgno);
	sqlite3_bind_blob(insert, 3, data, (int)len, SQLITE_STATIC);
	return sql_run(index, insert);
}

int pending_delete(struct index *index, uint64_t id, uint64_t first, uint64_t count)
{
	AUTO_RESET sqlite3_stmt *statement = NULL;
	int r = sql_get(index, "DELETE FROM pending WHERE snapshot = ?1 AND pgno BETWEEN ?2 AND ?3",
			&statement);

	if (r < 0)
		return r;
	sql_bind(statement, 1, id);
	sql_bind(statement, 2, first);
	sql_bind(statement, 3, first + count - 1);
	return sql_run(index, statement);
}
