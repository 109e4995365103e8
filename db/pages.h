/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page store: which bytes a stored page id stands for.
 *
 * A struct pages is used by one thread. What can fail returns 0 or -errno and
 * leaves its ret_ arguments alone on failure.
 */
#ifndef PAGODA_DB_PAGES_H
#define PAGODA_DB_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/index.h"

struct pages;

/* index is borrowed, belongs to the same thread and outlives the pages. */
int pages_open(struct index *index, struct pages **ret_pages) MUST_CHECK;
void pages_close(struct pages *pages);
DEFINE_AUTO(struct pages *, pages_close)

/* The index it was opened with. */
struct index *pages_index(const struct pages *pages);

/* Reads count pages with consecutive ids from first into buf (count * 4096
 * bytes). -EBADMSG if one is not in the index, does not lie in its pack or does
 * not match its hash: *ret_bad names it, the words name its pack, and the pages
 * before it are valid. */
int pages_read(struct pages *pages, uint64_t first, size_t count, void *buf,
	       uint64_t *ret_bad) MUST_CHECK;

#endif
