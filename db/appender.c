/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step:
 *
 *   collect   pages as the windows bring them: zero runs; new ones, whose blocks
 *             go to the pack at once; known ones, whose bytes are kept aside
 *   sync      the pack
 *   begin     the write transaction
 *   confirm   every known page is still in the store; one that was removed
 *             meanwhile becomes new, from the bytes kept aside
 *   lay out   rows and extents (see lay_out_page)
 *   commit
 *
 * Invariants: (1) a page row is written only after its block is durable; (2) in
 * the transaction that writes an extent all rows it names are there, in packs
 * that are not doomed; (3) a step is bounded in pages and in kept bytes, so the
 * writer lock is held for tens of milliseconds and memory does not grow with the
 * image.
 */
#include "config.h"

#include "db/appender.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/pack-make.h"
#include "db/pack.h"
#include "db/pages-private.h"
#include "db/recent.h"
#include "db/row-batch.h"
#include "db/rows.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

#ifndef STEP_PAGES /* tests make steps smaller */
#define STEP_PAGES 8192
#endif
#define STEP_EDIT 4096 /* in a layer that has pages already: each run costs more */
#define STEP_KEPT 2048 /* known pages whose bytes are kept: 8 MiB */

/* A stretch of known pages at least this long is worth an extent of its own; in a
 * shorter one each page gets an alias row, so that the run around it goes on. */
#define STRETCH_PAGES 16

struct step_page {
	enum { STEP_ZERO, STEP_NEW, STEP_OWN, STEP_KNOWN } kind;
	uint32_t kept; /* STEP_KNOWN: where its bytes are */
	uint64_t pgno;
	uint64_t count; /* STEP_ZERO: pages; else 1 */
	uint64_t known_id;
	struct page_row row;
};

struct extent {
	uint64_t first;
	uint64_t count;
	uint64_t page; /* 0: zero pages */
};

struct appender {
	struct index *index; /* borrowed */
	struct pages *pages; /* owned */
	uint64_t snapshot;
	enum codec codec;	    /* of a page that has to be encoded once more */
	struct pack_writer *writer; /* owned; NULL before the first new page */
	struct pack_writer *full;   /* owned; locked until its rows are committed, or NULL */
	struct recent *recent;	    /* owned */
	struct appender_edit *edit; /* borrowed; NULL: an import */
	struct appender_totals totals;
	struct appender_totals committed; /* of those */
	struct extent last;		  /* the run that may go on; count 0: none yet */
	uint64_t next_id;		  /* while laying out */
	struct row_batch rows;		  /* while laying out */
	size_t nkept;
	size_t npages;
	struct step_page step[STEP_PAGES];
	char kept[STEP_KEPT][PAGE_BYTES];
};

int appender_new(struct index *index, uint64_t snapshot, enum codec codec, struct appender **ret)
{
	AUTO(appender_free_at) struct appender *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return fail_with(-ENOMEM, "out of memory");
	a->index = index;
	a->snapshot = snapshot;
	a->codec = codec;
	r = pages_open(index, &a->pages);
	if (r == 0)
		r = recent_new(&a->recent);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

void appender_free(struct appender *a)
{
	if (!a)
		return;
	if (a->writer)
		pack_writer_truncate(a->writer);
	pack_writer_close(a->writer);
	pack_writer_close(a->full);
	pages_close(a->pages);
	recent_free(a->recent);
	free(a);
}

/* A full pack is left for a new one; what it holds is durable by then. Rows of it come
 * with the step: until then its lock keeps it from being collected. */
static int pack_ready(struct appender *a)
{
	int r = 0;

	if (a->writer && pack_writer_size(a->writer) >= PACK_BYTES_FULL) {
		r = pack_writer_sync(a->writer);
		pack_writer_close(a->full);
		a->full = TAKE_PTR(a->writer);
	}
	if (r == 0 && !a->writer)
		r = pack_make(a->index, a->snapshot, &a->writer);
	return r;
}

/* The block of a new page goes to the pack; row gets its place. */
static int append_block(struct appender *a, struct page_row *row, const void *packed)
{
	int r = pack_ready(a);

	if (r < 0)
		return r;
	row->pack = pack_writer_number(a->writer);
	row->offset = pack_writer_size(a->writer);
	r = pack_writer_append(a->writer, packed, row->length);
	if (r < 0)
		return r;
	a->totals.stored_pages++;
	a->totals.stored_bytes += row->length;
	return 0;
}

/* Are these the bytes at that place? A block that cannot be read is not shared. */
static bool has_bytes(struct appender *a, const struct page_row *row, const void *plain)
{
	char packed[PAGE_BYTES];

	if (!a->writer || row->pack != pack_writer_number(a->writer))
		return pages_holds(a->pages, row, plain);
	return pack_writer_read(a->writer, row->offset, packed, row->length) == 0 &&
	       page_block_holds(row, packed, plain);
}

/* Did this import append the page a moment ago? */
static bool find_own(struct appender *a, struct page_row *row, const void *plain)
{
	struct page_row rows[RECENT_WAYS];
	size_t n = recent_find(a->recent, row->hash, rows);

	while (n-- > 0)
		if (has_bytes(a, &rows[n], plain)) {
			*row = rows[n];
			return true;
		}
	return false;
}

static int collect_new(struct appender *a, struct step_page *to, const void *plain,
		       const void *packed)
{
	int r;

	if (find_own(a, &to->row, plain)) {
		to->kind = STEP_OWN;
		return 0;
	}
	to->kind = STEP_NEW;
	r = append_block(a, &to->row, packed);
	if (r == 0)
		recent_add(a->recent, &to->row);
	return r;
}

static int collect_data(struct appender *a, const struct window *window, size_t i)
{
	const struct window_page *page = &window->pages[i];
	struct step_page *to = &a->step[a->npages++];

	*to = (struct step_page){.pgno = window->span.first + i,
				 .count = 1,
				 .known_id = page->known_id,
				 .row = page->row};
	a->totals.data_pages++;
	if (page->kind == PAGE_NEW)
		return collect_new(a, to, window_plain(window, i),
				   window->packed + page->packed_at);
	to->kind = STEP_KNOWN;
	to->kept = (uint32_t)a->nkept;
	memcpy(a->kept[a->nkept++], window_plain(window, i), PAGE_BYTES);
	return 0;
}

static void collect_zero(struct appender *a, uint64_t pgno, uint64_t count)
{
	struct step_page *last = a->npages > 0 ? &a->step[a->npages - 1] : NULL;

	a->totals.zero_pages += count;
	if (last && last->kind == STEP_ZERO && last->pgno + last->count == pgno)
		last->count += count;
	else
		a->step[a->npages++] =
			(struct step_page){.kind = STEP_ZERO, .pgno = pgno, .count = count};
}

/* The known page is still what it was, in a pack that stays; its row may name
 * another place by now. 1: yes, 0: no. */
static int confirm_known(struct appender *a, struct step_page *page)
{
	static const char sql[] = "SELECT hash, pack, offset, length FROM page WHERE id = ?1 AND "
				  "NOT (SELECT doomed FROM pack WHERE id = page.pack)";
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct page_row row;
	int r = sql_get(a->index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, page->known_id);
	r = sql_step(a->index, query);
	if (r <= 0)
		return r;
	row = rows_parse(query, 0);
	if (row.length == 0 || row.hash != page->row.hash)
		return 0;
	page->row = row;
	return 1;
}

/* A known page that was removed meanwhile is stored after all. */
static int restore(struct appender *a, struct step_page *page)
{
	char packed[PAGE_BYTES];
	int r = page_encode(a->codec, CODEC_QUICK, a->kept[page->kept], packed, &page->row);

	if (r < 0)
		return r;
	page->kind = STEP_NEW;
	return append_block(a, &page->row, packed);
}

/* Inside the transaction. *ret_missing says how many are not there any more: they
 * are marked by a known_id of 0. */
static int confirm(struct appender *a, size_t *ret_missing)
{
	*ret_missing = 0;
	for (size_t i = 0; i < a->npages; i++) {
		int r;

		if (a->step[i].kind != STEP_KNOWN)
			continue;
		r = confirm_known(a, &a->step[i]);
		if (r < 0)
			return r;
		if (r == 0) {
			a->step[i].known_id = 0;
			(*ret_missing)++;
		}
	}
	return 0;
}

static int restore_missing(struct appender *a)
{
	for (size_t i = 0; i < a->npages; i++) {
		int r = 0;

		if (a->step[i].kind == STEP_KNOWN && a->step[i].known_id == 0)
			r = restore(a, &a->step[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Writes the run that was open; one of the step before may have grown. */
static int write_last(struct appender *a)
{
	static const char sql[] = "INSERT OR REPLACE INTO extent (snapshot, first, count, page) "
				  "VALUES (?1, ?2, ?3, ?4)";
	sqlite3_stmt *insert;
	int r;

	if (a->last.count == 0)
		return 0;
	if (a->edit)
		return a->edit->run(a->edit, a->last.first, a->last.count, a->last.page);
	r = sql_get(a->index, sql, &insert);
	if (r < 0)
		return r;
	sql_bind(insert, 1, a->snapshot);
	sql_bind(insert, 2, a->last.first);
	sql_bind(insert, 3, a->last.count);
	if (a->last.page)
		sql_bind(insert, 4, a->last.page);
	return sql_run(a->index, insert);
}

/* The next pages of the image: count from pgno on, zero or stored from id on. */
static int extend(struct appender *a, uint64_t pgno, uint64_t count, uint64_t id)
{
	int r;

	if (a->last.count > 0 && a->last.first + a->last.count == pgno &&
	    (id == 0) == (a->last.page == 0) && (id == 0 || a->last.page + a->last.count == id)) {
		a->last.count += count;
		return 0;
	}
	r = write_last(a);
	a->last = (struct extent){.first = pgno, .count = count, .page = id};
	return r;
}

/* How many known pages follow from step page i on, one behind the other, with
 * consecutive ids. */
static size_t stretch_from(const struct appender *a, size_t i)
{
	size_t n = 1;

	while (n < STRETCH_PAGES && i + n < a->npages && a->step[i + n].kind == STEP_KNOWN &&
	       a->step[i + n].known_id == a->step[i].known_id + n &&
	       a->step[i + n].pgno == a->step[i].pgno + n)
		n++;
	return n;
}

/*
 * A known page goes by its own id where that continues the open run, or where it
 * begins a stretch long enough. Every other page gets a new row, known ones an
 * alias: new ids are consecutive, so the run goes on.
 */
static int lay_out_page(struct appender *a, size_t i)
{
	const struct step_page *page = &a->step[i];
	bool continues = a->last.page && a->last.page + a->last.count == page->known_id &&
			 a->last.first + a->last.count == page->pgno;
	bool by_id = page->kind == STEP_KNOWN && (continues || stretch_from(a, i) >= STRETCH_PAGES);
	int r;

	if (page->kind == STEP_ZERO)
		return extend(a, page->pgno, page->count, 0);
	if (by_id)
		return extend(a, page->pgno, 1, page->known_id);
	r = row_batch_add(&a->rows, &page->row, a->next_id);
	if (r == 0)
		r = extend(a, page->pgno, 1, a->next_id++);
	return r;
}

/* Inside the transaction, once everything named is there. */
static int lay_out(struct appender *a)
{
	int64_t sequence;
	int r = sql_number(a->index, "SELECT seq FROM sqlite_sequence WHERE name = 'page'", 0,
			   &sequence);

	if (r == -ENOENT)
		return fail_with(-EBADMSG, "index.db: its sequence of page ids is missing");
	a->next_id = (uint64_t)sequence + 1;
	row_batch_init(&a->rows, a->index);
	for (size_t i = 0; r == 0 && i < a->npages; i++)
		r = lay_out_page(a, i);
	if (r == 0)
		r = row_batch_flush(&a->rows);
	return r == 0 ? write_last(a) : r;
}

static int transact(struct appender *a, size_t *ret_missing)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct extent before = a->last;
	int r = transaction_begin(a->index, a->edit ? TRANSACTION_DURABLE : TRANSACTION_STEP,
				  &open);

	if (r == 0)
		r = confirm(a, ret_missing);
	if (r < 0 || *ret_missing > 0)
		return r;
	if (a->edit)
		a->edit->begin(a->edit);
	r = lay_out(a);
	if (r == 0 && a->edit)
		r = a->edit->end(a->edit, a->totals.stored_pages - a->committed.stored_pages,
				 a->totals.stored_bytes - a->committed.stored_bytes);
	if (r == 0)
		r = transaction_commit(&open);
	if (r < 0)
		a->last = before;
	else if (a->edit) /* each step of an edit stands for itself */
		a->last.count = 0;
	if (r == 0)
		a->committed = a->totals;
	return r;
}

/* Commits what was collected. What is found missing is stored outside of the
 * transaction, and all of it confirmed again: each turn has fewer known pages. */
static int step_commit(struct appender *a)
{
	size_t missing = 0;
	int r;

	if (a->npages == 0)
		return 0;
	do {
		r = a->writer ? pack_writer_sync(a->writer) : 0;
		if (r == 0)
			r = transact(a, &missing);
		if (r == 0 && missing > 0)
			r = restore_missing(a);
	} while (r == 0 && missing > 0);
	if (r == 0) {
		/* the packs of a draft that are not locked any more its own process may be
		 * collecting: what lies there is found and confirmed as of any other */
		if (a->full && a->edit)
			recent_clear(a->recent);
		pack_writer_close(a->full);
		a->full = NULL;
	}
	a->npages = 0;
	a->nkept = 0;
	return r;
}

/* Commits where a window more might not fit. */
static int step_make_room(struct appender *a)
{
	size_t most = a->edit ? STEP_EDIT : STEP_PAGES;

	if (a->npages + WINDOW_PAGES > most || a->nkept + WINDOW_PAGES > STEP_KEPT)
		return step_commit(a);
	return 0;
}

int appender_add(struct appender *a, const struct window *window)
{
	int r = step_make_room(a);

	for (size_t i = 0; r == 0 && i < window->span.npages; i++) {
		enum page_kind kind = window->pages[i].kind;

		if (kind == PAGE_ZERO)
			collect_zero(a, window->span.first + i, 1);
		else if (kind == PAGE_KNOWN || kind == PAGE_NEW)
			r = collect_data(a, window, i);
	}
	return r;
}

int appender_add_zero(struct appender *a, uint64_t first, uint64_t count)
{
	int r = step_make_room(a);

	if (r == 0)
		collect_zero(a, first, count);
	return r;
}

void appender_edit(struct appender *a, struct appender_edit *edit)
{
	a->edit = edit;
	a->last.count = 0;
	a->npages = 0;
	a->nkept = 0;
	a->totals = a->committed;
	/* what was replaced since, someone may be collecting as garbage */
	recent_clear(a->recent);
	if (a->writer)
		pack_writer_truncate(a->writer);
	if (a->writer && pack_writer_is_broken(a->writer)) {
		pack_writer_close(a->writer);
		a->writer = NULL;
	}
}

int appender_finish(struct appender *a, struct appender_totals *ret)
{
	int r = step_commit(a);

	if (r == 0)
		*ret = a->totals;
	return r;
}
