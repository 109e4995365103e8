/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/row-batch.h"

#include <sqlite3.h>

#include "db/schema.h"
#include "db/sql.h"

#define COLUMNS 5
#define ROW "(?, ?, ?, ?, ?)"
#define ROWS_4 ROW ", " ROW ", " ROW ", " ROW
#define ROWS_16 ROWS_4 ", " ROWS_4 ", " ROWS_4 ", " ROWS_4
#define ROWS_64 ROWS_16 ", " ROWS_16 ", " ROWS_16 ", " ROWS_16
_Static_assert(ROW_BATCH_ROWS == 64, "as many as one statement takes");

/* OR FAIL: so that one row can be taken back without the others, SQLite would first copy
 * each page of the index that a statement changes. Ours are taken back together, with
 * their transaction. */
#define INSERT "INSERT OR FAIL INTO page (id, hash, pack, offset, length) VALUES "

void row_batch_init(struct row_batch *batch, struct index *index)
{
	batch->index = index;
	batch->n = 0;
}

/* Rows first..first+count-1, as many as the statement has room for. */
static int insert(struct row_batch *batch, const char *sql, size_t first, size_t count)
{
	sqlite3_stmt *statement;
	int r = sql_get(batch->index, sql, &statement);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		const struct page_row *row = &batch->rows[first + i].row;
		int column = (int)(i * COLUMNS);

		sql_bind(statement, column + 1, batch->rows[first + i].id);
		sql_bind(statement, column + 2, row->hash);
		sql_bind(statement, column + 3, row->pack);
		sql_bind(statement, column + 4, row->offset);
		sql_bind(statement, column + 5, page_row_length(row));
	}
	return sql_run(batch->index, statement);
}

int row_batch_flush(struct row_batch *batch)
{
	size_t first = 0;
	int r = 0;

	if (batch->n == ROW_BATCH_ROWS) {
		r = insert(batch, INSERT ROWS_64, 0, ROW_BATCH_ROWS);
		first = ROW_BATCH_ROWS;
	}
	for (; r == 0 && first < batch->n; first++)
		r = insert(batch, INSERT ROW, first, 1);
	batch->n = 0;
	return r;
}

int row_batch_add(struct row_batch *batch, const struct page_row *row, uint64_t id)
{
	int r = schema_need_codec(batch->index, row->codec);

	batch->rows[batch->n].id = id;
	batch->rows[batch->n++].row = *row;
	if (r == 0 && batch->n == ROW_BATCH_ROWS)
		r = row_batch_flush(batch);
	return r;
}
