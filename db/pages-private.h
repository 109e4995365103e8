/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a page by its place instead of its id: for import and check.
 */
#ifndef PAGODA_DB_PAGES_PRIVATE_H
#define PAGODA_DB_PAGES_PRIVATE_H

#include "base/attributes.h"
#include "db/page.h"
#include "db/pages.h"

/* Reads the page of a sane row into plain (PAGE_BYTES). -ENOENT where its pack is
 * gone, -EBADMSG as pages_read. */
int pages_load(struct pages *pages, const struct page_row *row, void *plain) MUST_CHECK;

#endif
