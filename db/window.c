/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page that the parent has at the same place is found first, and costs neither a
 * look-up nor a row: zero by its map, data where the hash in its page row is the
 * same, and then the bytes are (db/parent.c).
 *
 * How another page that the store has already is found. Images of one machine share
 * long stretches, and their pages have consecutive ids; so a page is first held
 * against the row behind the one that matched for the page before it, which also
 * keeps runs long. Else the candidate is the first row with its hash, looked up
 * for all pages of the window in the order of their hashes. Either is only a
 * hint: it counts when the bytes are the same.
 */
#include "config.h"

#include "db/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/pages-private.h"
#include "db/parent.h"
#include "db/rows.h"
#include "db/sql.h"

/* Two pages with one hash and different bytes are made by an attacker, not met:
 * after so many rows of other bytes the page is stored once more. */
#define CANDIDATES_MAX 8
#define CANDIDATE_ROWS_MAX 256 /* aliases of one place among them */

struct key {
	uint64_t hash;
	uint32_t i;
};

struct lookup {
	struct index *index;
	struct pages *pages;
	uint64_t next_id; /* the row that would continue the last match; 0: none */
};

static int key_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct key *)a)->hash;
	uint64_t y = ((const struct key *)b)->hash;

	return (x > y) - (x < y);
}

/* Zero pages, and the hashes of others. */
static void hash_all(struct window *window)
{
	for (size_t i = 0; i < window->span.npages; i++) {
		struct window_page *page = &window->pages[i];
		const void *plain = window_plain(window, i);

		*page = (struct window_page){.kind = PAGE_ZERO};
		if (image_window_has_hole(&window->span, i)) {
			if (window->span.is_diff)
				page->kind = PAGE_UNCHANGED;
			continue;
		}
		if (page_is_zero(plain))
			continue;
		page->kind = PAGE_NEW;
		page->row.hash = page_hash(plain);
	}
}

/* Returns the number of pages to look up, their keys sorted. */
static size_t keys_collect(const struct window *window, struct known *known,
			   struct key keys[WINDOW_PAGES])
{
	size_t n = 0;

	for (size_t i = 0; i < window->span.npages; i++)
		if (window->pages[i].kind == PAGE_NEW &&
		    (!known || known_meet(known, window->pages[i].row.hash)))
			keys[n++] = (struct key){window->pages[i].row.hash, (uint32_t)i};
	qsort(keys, n, sizeof(keys[0]), key_compare);
	return n;
}

/* known_id becomes the first row with the page's hash, or stays 0. */
static int find_first(struct index *index, struct window *window, const struct key *keys, size_t n)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, "SELECT min(id) FROM page WHERE hash = ?1", &query);

	for (size_t k = 0; r == 0 && k < n; k++) {
		struct window_page *page = &window->pages[keys[k].i];

		if (k > 0 && keys[k].hash == keys[k - 1].hash) {
			page->known_id = window->pages[keys[k - 1].i].known_id;
			continue;
		}
		sql_bind(query, 1, keys[k].hash);
		r = sql_step(index, query);
		if (r > 0) {
			page->known_id = sql_column(query, 0);
			r = 0;
		}
		sqlite3_reset(query);
	}
	return r;
}

/* 1 and the row in page if the row of that id has these very bytes, else 0. A
 * stored page that cannot be read is not shared. */
static int try_row(struct lookup *lookup, struct window_page *page, const void *plain,
		   const struct page_row *row, uint64_t id)
{
	if (row->hash != page->row.hash || row->length == 0)
		return 0;
	if (!pages_holds(lookup->pages, row, plain))
		return 0;
	page->kind = PAGE_KNOWN;
	page->known_id = id;
	page->row = *row;
	return 1;
}

static int try_next(struct lookup *lookup, struct window_page *page, const void *plain)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct page_row row;
	int r = sql_get(lookup->index, "SELECT hash, pack, offset, length FROM page WHERE id = ?1",
			&query);

	if (r < 0)
		return r;
	sql_bind(query, 1, lookup->next_id);
	r = sql_step(lookup->index, query);
	if (r <= 0)
		return r;
	row = rows_parse(query, 0);
	return try_row(lookup, page, plain, &row, lookup->next_id);
}

static int try_hash(struct lookup *lookup, struct window_page *page, const void *plain)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct page_row former = {0};
	unsigned int tried = 0;
	unsigned int seen = 0;
	int r = sql_get(
		lookup->index,
		"SELECT hash, pack, offset, length, id FROM page WHERE hash = ?1 AND id >= ?2 "
		"ORDER BY id",
		&query);

	if (r < 0)
		return r;
	sql_bind(query, 1, page->row.hash);
	sql_bind(query, 2, page->known_id);
	while (tried < CANDIDATES_MAX && seen++ < CANDIDATE_ROWS_MAX &&
	       (r = sql_step(lookup->index, query)) > 0) {
		struct page_row row = rows_parse(query, 0);

		/* an alias of what was just compared */
		if (row.pack == former.pack && row.offset == former.offset)
			continue;
		r = try_row(lookup, page, plain, &row, sql_column(query, 4));
		if (r != 0)
			return r;
		former = row;
		tried++;
	}
	return MIN(r, 0);
}

static int find_known(struct lookup *lookup, struct window *window)
{
	for (size_t i = 0; i < window->span.npages; i++) {
		struct window_page *page = &window->pages[i];
		const void *plain = window_plain(window, i);
		int r = 0;

		if (page->kind != PAGE_NEW)
			continue;
		if (lookup->next_id)
			r = try_next(lookup, page, plain);
		if (r == 0 && page->known_id)
			r = try_hash(lookup, page, plain);
		if (r < 0)
			return r;
		lookup->next_id = page->kind == PAGE_KNOWN ? page->known_id + 1 : 0;
	}
	return 0;
}

static int encode_new(struct window *window, enum codec codec)
{
	size_t at = 0;

	for (size_t i = 0; i < window->span.npages; i++) {
		int r;
		struct window_page *page = &window->pages[i];

		if (page->kind != PAGE_NEW)
			continue;
		page->packed_at = at;
		r = page_encode(codec, CODEC_QUICK, window_plain(window, i), window->packed + at,
				&page->row);
		if (r < 0)
			return r;
		at += page->row.length;
	}
	return 0;
}

int window_classify(struct window *window, struct index *index, struct pages *pages,
		    const struct map *parent, struct known *known, enum codec codec)
{
	struct lookup lookup = {.index = index, .pages = pages};
	struct key keys[WINDOW_PAGES];
	size_t n = 0;
	bool begun;
	int r;

	hash_all(window);
	/* one read transaction for the lookups of a window: ten times fewer locks */
	r = sql_read_begin(index, &begun);
	if (r < 0)
		return r;
	if (parent)
		r = parent_compare(window, index, pages, parent);
	if (r == 0)
		n = keys_collect(window, known, keys);
	if (r == 0 && n > 0)
		r = find_first(index, window, keys, n);
	if (r == 0 && n > 0)
		r = find_known(&lookup, window);
	sql_read_end(index, begun);
	return r < 0 ? r : encode_new(window, codec);
}
