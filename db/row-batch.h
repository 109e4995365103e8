/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page rows on their way into the index, many of them by one statement: most of what
 * a statement of one row costs is not the row but the sequence of ids, which SQLite
 * looks for and writes back each time.
 *
 * In the caller's memory, used by one thread inside one write transaction. Private to
 * db/.
 */
#ifndef PAGODA_DB_ROW_BATCH_H
#define PAGODA_DB_ROW_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"
#include "db/page.h"

#define ROW_BATCH_ROWS 64

struct row_batch {
	struct index *index; /* borrowed */
	size_t n;
	struct {
		uint64_t id;
		struct page_row row;
	} rows[ROW_BATCH_ROWS];
};

void row_batch_init(struct row_batch *batch, struct index *index);

/* The row of a new id. It may wait for others. */
int row_batch_add(struct row_batch *batch, const struct page_row *row, uint64_t id) MUST_CHECK;

/* What waits goes into the index. */
int row_batch_flush(struct row_batch *batch) MUST_CHECK;

#endif
