/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a page by its place instead of its id, and comparing without handing it out:
 * for import and check.
 */
#ifndef PAGODA_DB_PAGES_PRIVATE_H
#define PAGODA_DB_PAGES_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/page.h"
#include "db/pages.h"

/* Reads the page of a sane row into plain (PAGE_BYTES). -ENOENT where its pack is
 * gone, -EBADMSG as pages_read. */
int pages_load(struct pages *pages, const struct page_row *row, void *plain) MUST_CHECK;

/* Does the page of a sane row have these bytes? One that cannot be read has others. */
bool pages_holds(struct pages *pages, const struct page_row *row, const void *plain);

/* Compares count pages with consecutive ids from first with
 * those at plain: same[i] says whether page first + i has the same bytes; one that cannot
 * be read has others. rows are theirs, and are read again where a pack is gone, as the
 * pages may have moved. Errors of SQLite and -ENOMEM. */
int pages_compare(struct pages *pages, uint64_t first, struct page_row *rows, size_t count,
		  const void *plain, bool *same) MUST_CHECK;

#endif
