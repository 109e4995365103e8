/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/catalog.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "base/fail.h"
#include "db/catalog-private.h"
#include "db/sql.h"

#define ROW_COLUMNS                                                                                \
	"SELECT s.id, s.name, s.parent, s.size, s.page_size, s.state, s.created_ns, s.note, "      \
	"s.digest, s.layer_digest, s.data_pages, s.layer_data, s.layer_zero, s.stored_pages, "     \
	"s.stored_bytes, p.name, "                                                                 \
	"coalesce((SELECT length(data) FROM attachment WHERE snapshot = s.id AND "                 \
	"name = 'vmstate'), CASE s.state WHEN 1 THEN (SELECT length(data) FROM attachment "        \
	"WHERE snapshot = s.parent AND name = 'vmstate') END), "                                   \
	"(SELECT length(data) FROM attachment WHERE snapshot = s.id AND name = 'workingset'), "    \
	"(SELECT data FROM attachment WHERE snapshot = s.id AND name = 'changed') "                \
	"FROM snapshot s LEFT JOIN snapshot p ON p.id = s.parent "

enum row_column {
	COLUMN_ID,
	COLUMN_NAME,
	COLUMN_PARENT,
	COLUMN_SIZE,
	COLUMN_PAGE_SIZE,
	COLUMN_STATE,
	COLUMN_CREATED,
	COLUMN_NOTE,
	COLUMN_DIGEST,
	COLUMN_LAYER_DIGEST,
	COLUMN_DATA_PAGES,
	COLUMN_LAYER_DATA,
	COLUMN_LAYER_ZERO,
	COLUMN_STORED_PAGES,
	COLUMN_STORED_BYTES,
	COLUMN_PARENT_NAME,
	COLUMN_VMSTATE,
	COLUMN_WORKINGSET,
	COLUMN_CHANGED,
};

/* The attachment "changed" of what is or was a draft: little-endian. */
struct changed {
	uint64_t version;
	uint64_t ns;
};

int catalog_check_name(const char *name)
{
	size_t len = strlen(name);
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		"._-";

	if (len == 0 || len > SNAPSHOT_NAME_MAX || strspn(name, allowed) != len ||
	    strchr("._-", name[0]))
		return fail_with(-EINVAL,
				 "'%.140s' is no snapshot name: 1 to %d of A-Z a-z 0-9 . _ -, "
				 "the first a letter or a digit",
				 name, SNAPSHOT_NAME_MAX);
	return 0;
}

/* A text column into a field of room bytes; false where it does not fit, holds a NUL
 * or cannot be had. NULL is "". */
static bool text_column(sqlite3_stmt *query, int column, char *field, size_t room)
{
	int type = sqlite3_column_type(query, column);
	const char *text = (const char *)sqlite3_column_text(query, column);
	size_t len = (size_t)sqlite3_column_bytes(query, column);

	if (!text && type != SQLITE_NULL)
		return false;
	if (!text)
		len = 0;
	if (len >= room || (text && strlen(text) != len))
		return false;
	memcpy(field, text ? text : "", len);
	field[len] = '\0';
	return true;
}

static bool digest_column(sqlite3_stmt *query, int column, uint8_t digest[DIGEST_BYTES])
{
	if (sqlite3_column_bytes(query, column) != DIGEST_BYTES)
		return false;
	memcpy(digest, sqlite3_column_blob(query, column), DIGEST_BYTES);
	return true;
}

/* What was never a draft has changed when it was created. */
static bool changed_column(sqlite3_stmt *query, struct snapshot_row *row)
{
	struct changed changed;

	row->changed_ns = row->created_ns;
	if (sqlite3_column_type(query, COLUMN_CHANGED) == SQLITE_NULL)
		return true;
	if (sqlite3_column_bytes(query, COLUMN_CHANGED) != sizeof(changed))
		return false;
	memcpy(&changed, sqlite3_column_blob(query, COLUMN_CHANGED), sizeof(changed));
	row->version = le64toh(changed.version);
	row->changed_ns = le64toh(changed.ns);
	return row->version > 0;
}

static bool counts_are_sane(const struct snapshot_row *row)
{
	uint64_t npages = row->size / PAGE_BYTES;

	return row->data_pages <= npages && row->layer_data <= npages &&
	       row->layer_zero <= npages - row->layer_data && row->stored_pages <= row->layer_data;
}

/* What the row says must be possible, before anyone counts on it. */
static int row_parse(struct index *index, sqlite3_stmt *query, struct snapshot_row *ret)
{
	struct snapshot_row row = {
		.id = sql_column(query, COLUMN_ID),
		.parent = sql_column(query, COLUMN_PARENT),
		.size = sql_column(query, COLUMN_SIZE),
		.created_ns = sql_column(query, COLUMN_CREATED),
		.data_pages = sql_column(query, COLUMN_DATA_PAGES),
		.layer_data = sql_column(query, COLUMN_LAYER_DATA),
		.layer_zero = sql_column(query, COLUMN_LAYER_ZERO),
		.stored_pages = sql_column(query, COLUMN_STORED_PAGES),
		.stored_bytes = sql_column(query, COLUMN_STORED_BYTES),
		.vmstate_bytes = sql_column(query, COLUMN_VMSTATE),
		.workingset_bytes = sql_column(query, COLUMN_WORKINGSET),
		.has_vmstate = sqlite3_column_type(query, COLUMN_VMSTATE) != SQLITE_NULL,
	};
	uint64_t state = sql_column(query, COLUMN_STATE);

	if (!text_column(query, COLUMN_NAME, row.name, sizeof(row.name)) ||
	    catalog_check_name(row.name) < 0)
		return fail_with(-EBADMSG, "the name of snapshot %" PRIu64 " is none", row.id);
	row.state = (enum snapshot_state)state;
	row.has_digest = digest_column(query, COLUMN_DIGEST, row.digest) &&
			 digest_column(query, COLUMN_LAYER_DIGEST, row.layer_digest);
	if ((state != SNAPSHOT_DRAFT && state != SNAPSHOT_SEALED) ||
	    sql_column(query, COLUMN_PAGE_SIZE) != PAGE_BYTES || row.size == 0 ||
	    row.size % PAGE_BYTES != 0 || row.size > IMAGE_BYTES_MAX || !counts_are_sane(&row) ||
	    row.has_digest != (state == SNAPSHOT_SEALED) || !changed_column(query, &row) ||
	    !text_column(query, COLUMN_PARENT_NAME, row.parent_name, sizeof(row.parent_name)) ||
	    !text_column(query, COLUMN_NOTE, row.note, sizeof(row.note)))
		return fail_with(-EBADMSG, "%s: its row in the index is damaged", row.name);
	memcpy(row.store_uuid, store_uuid(index_store(index)), STORE_UUID_BYTES);
	*ret = row;
	return 0;
}

static int row_read(struct index *index, sqlite3_stmt *query, struct snapshot_row *ret)
{
	int r = row_parse(index, query, ret);

	/* a text that there was no memory for is no damage */
	if (r == -EBADMSG && (sqlite3_errcode(sqlite3_db_handle(query)) & 0xff) == SQLITE_NOMEM)
		return fail_with(-ENOMEM, "reading the row of a snapshot: out of memory");
	return r;
}

/* The row of a bound query; -ENOENT without words where there is none. */
static int row_fetch(struct index *index, sqlite3_stmt *query, struct snapshot_row *ret)
{
	int r = sql_step(index, query);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	return row_read(index, query, ret);
}

int catalog_find(struct index *index, const char *name, struct snapshot_row *ret)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct snapshot_row row;
	int r = catalog_check_name(name);

	if (r == 0)
		r = sql_get(index, ROW_COLUMNS "WHERE s.name = ?1 AND s.state != 0", &query);
	if (r < 0)
		return r;
	sqlite3_bind_text(query, 1, name, -1, SQLITE_STATIC);
	r = row_fetch(index, query, &row);
	if (r == -ENOENT)
		return fail_with(r, "no snapshot '%s' in %s", name, store_path(index_store(index)));
	/* the name was looked up in an index of SQLite's own, which may be damaged */
	if (r == 0 && strcmp(row.name, name) != 0)
		r = fail_with(-EBADMSG, "the index finds '%s' under the name '%s'", row.name, name);
	if (r == 0)
		*ret = row;
	return r;
}

int catalog_find_id(struct index *index, uint64_t id, struct snapshot_row *ret)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct snapshot_row row;
	int r = sql_get(index, ROW_COLUMNS "WHERE s.id = ?1 AND s.state != 0", &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	r = row_fetch(index, query, &row);
	if (r == -ENOENT)
		return fail_with(r, "snapshot %" PRIu64 " is gone", id);
	if (r == 0 && row.id != id)
		r = fail_with(-EBADMSG, "the index finds another snapshot than %" PRIu64, id);
	if (r == 0)
		*ret = row;
	return r;
}

int catalog_next(struct index *index, uint64_t after, struct snapshot_row *ret)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, ROW_COLUMNS "WHERE s.id > ?1 AND s.state != 0 ORDER BY s.id LIMIT 1",
			&query);

	ret->id = 0;
	if (r < 0)
		return r;
	sql_bind(query, 1, after);
	r = sql_step(index, query);
	if (r <= 0)
		return r < 0 ? r : fail_with(-ENOENT, "no more snapshots");
	/* a damaged b-tree may come back to where it was, for ever */
	if (sql_column(query, COLUMN_ID) <= after)
		return fail_with(-EBADMSG, "index.db: its snapshots are out of order");
	ret->id = sql_column(query, COLUMN_ID);
	return row_read(index, query, ret);
}

int catalog_next_child(struct index *index, uint64_t parent, uint64_t after,
		       struct catalog_child *ret)
{
	static const char sql[] = "SELECT id, name FROM snapshot WHERE parent = ?1 AND id > ?2 "
				  "AND state != 0 ORDER BY id LIMIT 1";
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct catalog_child child;
	int r = sql_get(index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, parent);
	sql_bind(query, 2, after);
	r = sql_step(index, query);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	child.id = sql_column(query, 0);
	/* a damaged b-tree may come back to where it was, for ever */
	if (child.id <= after)
		return fail_with(-EBADMSG, "index.db: its snapshots are out of order");
	if (!text_column(query, 1, child.name, sizeof(child.name)))
		return fail_with(-EBADMSG, "the name of snapshot %" PRIu64 " is none", child.id);
	*ret = child;
	return 0;
}

int catalog_put_changed(struct index *index, uint64_t id, uint64_t version, uint64_t ns)
{
	static const char *const sql[] = {
		"UPDATE attachment SET hash = ?2, data = ?3 WHERE snapshot = ?1 AND "
		"name = 'changed'",
		"INSERT INTO attachment (snapshot, name, hash, data) VALUES (?1, 'changed', ?2, ?3)",
	};
	struct changed changed = {.version = htole64(version), .ns = htole64(ns)};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sql); i++) {
		AUTO_RESET sqlite3_stmt *put = NULL;

		r = sql_get(index, sql[i], &put);
		if (r < 0)
			return r;
		sql_bind(put, 1, id);
		sql_bind(put, 2, XXH3_64bits(&changed, sizeof(changed)));
		sqlite3_bind_blob(put, 3, &changed, sizeof(changed), SQLITE_STATIC);
		r = sql_run(index, put);
		if (sqlite3_changes(index_db(index)) > 0)
			break;
	}
	return r;
}

int catalog_check_free(struct index *index, const char *name)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, "SELECT state FROM snapshot WHERE name = ?1", &query);

	if (r < 0)
		return r;
	sqlite3_bind_text(query, 1, name, -1, SQLITE_STATIC);
	r = sql_step(index, query);
	if (r <= 0)
		return r;
	if (sql_column(query, 0) == SNAPSHOT_IMPORTING)
		return fail_with(-EBUSY, "'%s' is being imported by another process", name);
	return fail_with(-EEXIST,
			 "there is a snapshot '%s' already: remove it or take another name", name);
}
