/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes are compared first: a page that has changed then costs no reading. A match
 * is only a hint; stretches of pages that match are read at once, as import laid
 * them back to back, and their bytes decide.
 */
#include "config.h"

#include "db/parent.h"

#include <errno.h>
#include <string.h>

#include "db/pages-private.h"
#include "db/rows.h"

/* A stretch of the window: pages first .. first+count-1 of it, and the id the parent
 * has the first of them under. */
struct stretch {
	size_t first;
	size_t count;
	uint64_t id;
};

/* The rows of the parent's pages all have the hashes of ours. */
static int compare_bytes(struct window *window, struct pages *pages, struct page_row *rows,
			 struct stretch stretch)
{
	bool same[WINDOW_PAGES];
	int r = pages_compare(pages, stretch.id, rows, stretch.count,
			      window_plain(window, stretch.first), same);

	for (size_t i = 0; r == 0 && i < stretch.count; i++)
		if (same[i])
			window->pages[stretch.first + i].kind = PAGE_SAME;
	return r;
}

static int compare_data(struct window *window, struct index *index, struct pages *pages,
			struct stretch run)
{
	struct page_row rows[WINDOW_PAGES];
	size_t n;
	int r = rows_get(index, run.id, run.count, false, rows);

	for (size_t i = 0; r == 0 && i < run.count; i += n + 1) {
		const struct window_page *page = &window->pages[run.first + i];

		for (n = 0; i + n < run.count; n++)
			if (page[n].kind != PAGE_NEW || rows[i + n].length == 0 ||
			    page[n].row.hash != rows[i + n].hash)
				break;
		r = compare_bytes(window, pages, &rows[i],
				  (struct stretch){run.first + i, n, run.id + i});
	}
	return r;
}

static void compare_zero(struct window *window, struct stretch run)
{
	for (size_t i = run.first; i < run.first + run.count; i++)
		if (window->pages[i].kind == PAGE_ZERO)
			window->pages[i].kind = PAGE_SAME;
}

int parent_compare(struct window *window, struct index *index, struct pages *pages,
		   const struct map *map)
{
	uint64_t first = window->span.first;
	uint64_t pgno = first;
	uint64_t end = first + window->span.npages;
	int r = 0;

	for (size_t i = map_find(map, pgno); r == 0 && pgno < end; i++) {
		const struct run run = map_run(map, i);
		uint64_t count = MIN(end, map_run_end(map, i)) - pgno;
		struct stretch stretch = {(size_t)(pgno - first), (size_t)count,
					  run.page + (pgno - run.first)};

		if (run.kind == RUN_DATA)
			r = compare_data(window, index, pages, stretch);
		else
			compare_zero(window, stretch);
		pgno += count;
	}
	return r;
}
