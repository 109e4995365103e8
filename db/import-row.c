/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/import-row.h"

#include "base/clock.h"
#include "db/page.h"
#include "db/sql.h"

int import_row_insert(struct index *index, const char *name, uint64_t size, uint64_t parent)
{
	static const char sql[] = "INSERT INTO snapshot (name, size, page_size, state, created_ns, "
				  "parent) VALUES (?1, ?2, ?3, 0, ?4, ?5)";
	sqlite3_stmt *insert;
	int r = sql_get(index, sql, &insert);

	if (r < 0)
		return r;
	sqlite3_bind_text(insert, 1, name, -1, SQLITE_STATIC);
	sql_bind(insert, 2, size);
	sql_bind(insert, 3, PAGE_BYTES);
	sql_bind(insert, 4, clock_wall_ns());
	if (parent)
		sql_bind(insert, 5, parent);
	return sql_run(index, insert);
}

int import_row_seal(struct index *index, uint64_t id, const struct appender_totals *totals,
		    const struct layer_sums *sums)
{
	static const char sql[] = "UPDATE snapshot SET state = 2, size = ?2, digest = ?3, "
				  "layer_digest = ?4, data_pages = ?5, layer_data = ?6, "
				  "layer_zero = ?7, stored_pages = ?8, stored_bytes = ?9 "
				  "WHERE id = ?1 AND state = 0";
	sqlite3_stmt *update;
	int r = sql_get(index, sql, &update);

	if (r < 0)
		return r;
	sql_bind(update, 1, id);
	sql_bind(update, 2, sums->npages * PAGE_BYTES);
	/* static: a copy would need memory */
	sqlite3_bind_blob(update, 3, sums->digest, DIGEST_BYTES, SQLITE_STATIC);
	sqlite3_bind_blob(update, 4, sums->layer_digest, DIGEST_BYTES, SQLITE_STATIC);
	sql_bind(update, 5, sums->data_pages);
	sql_bind(update, 6, totals->data_pages);
	sql_bind(update, 7, totals->zero_pages);
	sql_bind(update, 8, totals->stored_pages);
	sql_bind(update, 9, totals->stored_bytes);
	return sql_run(index, update);
}
