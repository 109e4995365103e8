/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window of an image on its way into the store: what each page is.
 *
 * Filled by one worker thread: pages are told apart (the parent's, zero, known to
 * the store, new), and new ones encoded. Then it goes to the appender, in order.
 */
#ifndef PAGODA_DB_WINDOW_H
#define PAGODA_DB_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/image.h"
#include "db/index.h"
#include "db/known.h"
#include "db/map.h"
#include "db/page.h"
#include "db/pages.h"

enum page_kind {
	PAGE_SAME,	/* as the parent has it, zero or data: nothing of this layer */
	PAGE_UNCHANGED, /* the same, as a diff says it by a hole: nobody has looked */
	PAGE_ZERO,
	PAGE_KNOWN, /* the store has these bytes: known_id, row */
	PAGE_NEW,   /* row.length bytes at packed + packed_at */
};

struct window_page {
	enum page_kind kind;
	uint64_t known_id;
	struct page_row row; /* hash always; the rest as the kind says */
	size_t packed_at;
};

struct window {
	struct image_window span;
	struct window_page pages[WINDOW_PAGES]; /* unused for a hole */
	char plain[WINDOW_PAGES * PAGE_BYTES];
	char packed[WINDOW_PAGES * PAGE_BYTES];
};

/* Fills pages and packed from plain, new pages encoded with codec. parent is the map of the merged
 * image below, or NULL: then no page is PAGE_SAME. known says
 * which pages need no look-up; NULL: all do. */
int window_classify(struct window *window, struct index *index, struct pages *pages,
		    const struct map *parent, struct known *known, enum codec codec) MUST_CHECK;

static inline const void *window_plain(const struct window *window, size_t i)
{
	return window->plain + i * PAGE_BYTES;
}

#endif
