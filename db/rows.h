/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page rows by id, cached in groups of 64 as they are first used.
 *
 * The cache is shared by the threads of a process and bounded; a SELECT a page
 * would cost half as much again as reading the page.
 */
#ifndef PAGODA_DB_ROWS_H
#define PAGODA_DB_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"
#include "db/page.h"

struct row_cache;
struct sqlite3_stmt;

/* The row in the columns hash, pack, offset, length from column on; length 0 if
 * it could not be one of a page. */
struct page_row rows_parse(struct sqlite3_stmt *query, int column);

int row_cache_new(struct row_cache **ret) MUST_CHECK;
void row_cache_free(struct row_cache *cache);

/* Fills rows with count rows of ids from first; a row that is not in the index,
 * or could not be one of a page, has length 0. fresh looks past the cache: a
 * pack may have been rewritten. Errors of SQLite only. */
int rows_get(struct index *index, uint64_t first, size_t count, bool fresh,
	     struct page_row *rows) MUST_CHECK;

#endif
