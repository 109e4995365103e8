/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages of a window are those the parent has at the same place. One thread.
 */
#ifndef PAGODA_DB_PARENT_H
#define PAGODA_DB_PARENT_H

#include "base/attributes.h"
#include "db/window.h"

/* Of the pages that are PAGE_ZERO or PAGE_NEW with their hash, those that are the
 * parent's become PAGE_SAME. map is that of its merged image, which holds the window
 * and whose pages are leased. -ENOMEM and errors of SQLite; a page of the parent that cannot be
 * read is another page. */
int parent_compare(struct window *window, struct index *index, struct pages *pages,
		   const struct map *map) MUST_CHECK;

#endif
