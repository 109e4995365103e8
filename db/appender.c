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
 * Here is what collects; db/step.c does the rest, and an import has a thread for it
 * (db/committer.h): one step is committed while the next is collected. Who then wants
 * more of the index or of the pack than that allows waits for it: settle().
 *
 * Invariants: (1) a page row is written only after its block is durable; (2) in
 * the transaction that writes an extent all rows it names are there, in packs
 * that are not doomed; (3) a step is bounded in pages and in kept bytes, so the
 * writer lock is held for tens of milliseconds and memory does not grow with the
 * image; (4) steps commit in the order of the image.
 */
#include "config.h"

#include "db/appender.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/committer.h"
#include "db/pack-make.h"
#include "db/pack.h"
#include "db/pages-private.h"
#include "db/recent.h"
#include "db/step.h"
#include "db/store-private.h"

/* A step less is not worth a sync more; so small is what waits at the end. */
#define REST_LEAST 8192
#define REST_SHARE 3   /* times the rest is what a step before the end has */
#define STEP_EDIT 4096 /* in a layer that has pages already: each run costs more */

struct appender {
	struct pages *pages;	    /* owned */
	enum codec codec;	    /* of a page that has to be encoded once more */
	struct pack_writer *writer; /* owned; NULL before the first new page */
	struct recent *recent;	    /* owned */
	struct appender_totals totals;
	struct appender_totals committed; /* of those, of an edit */
	struct steps steps;
	struct committer *committer; /* owned; NULL: steps are committed here */
	struct step *step;	     /* owned; being collected */
	struct step *other;	     /* owned; the committer's, NULL without */
};

int appender_new(struct index *index, uint64_t snapshot, enum codec codec, struct appender **ret)
{
	AUTO(appender_free_at) struct appender *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return fail_with(-ENOMEM, "out of memory");
	a->steps.index = index;
	a->steps.snapshot = snapshot;
	a->codec = codec;
	a->step = calloc(1, sizeof(*a->step));
	r = a->step ? pages_open(index, &a->pages) : fail_with(-ENOMEM, "out of memory");
	if (r == 0)
		r = recent_new(false, &a->recent);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

int appender_commit_beside(struct appender *a)
{
	int r;

	recent_free(TAKE_PTR(a->recent));
	r = recent_new(true, &a->recent);
	if (r < 0)
		return r;
	a->other = calloc(1, sizeof(*a->other));
	return a->other ? committer_new(&a->steps, &a->committer)
			: fail_with(-ENOMEM, "out of memory");
}

static void step_free(struct step *step)
{
	if (step)
		step_clear(step);
	free(step);
}

void appender_free(struct appender *a)
{
	if (!a)
		return;
	committer_free(a->committer); /* before what it works on */
	if (a->writer)
		pack_writer_truncate(a->writer);
	pack_writer_close(a->writer);
	step_free(a->step);
	step_free(a->other);
	pages_close(a->pages);
	recent_free(a->recent);
	free(a);
}

static int settle(struct appender *a) MUST_CHECK;

/* A full pack is left for a new one; what it holds is durable by then. Rows of it come
 * with the step: until then its lock keeps it from being collected. */
static int pack_ready(struct appender *a)
{
	int r;

	if (a->writer && pack_writer_size(a->writer) < PACK_BYTES_FULL)
		return 0;
	r = settle(a);
	if (r == 0 && a->writer && pack_writer_size(a->writer) >= PACK_BYTES_FULL) {
		r = pack_writer_sync(a->writer);
		pack_writer_close(a->step->full);
		a->step->full = TAKE_PTR(a->writer);
	}
	if (r == 0 && !a->writer)
		r = pack_make(a->steps.index, a->steps.snapshot, &a->writer);
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
	struct step_page *to = &a->step->pages[a->step->npages++];

	*to = (struct step_page){.pgno = window->span.first + i,
				 .count = 1,
				 .known_id = page->known_id,
				 .row = page->row};
	a->totals.data_pages++;
	if (page->kind == PAGE_NEW)
		return collect_new(a, to, window_plain(window, i),
				   window->packed + page->packed_at);
	to->kind = STEP_KNOWN;
	to->kept = (uint32_t)a->step->nkept;
	memcpy(a->step->kept[a->step->nkept++], window_plain(window, i), PAGE_BYTES);
	return 0;
}

static void collect_zero(struct appender *a, uint64_t pgno, uint64_t count)
{
	struct step_page *last = a->step->npages > 0 ? &a->step->pages[a->step->npages - 1] : NULL;

	a->totals.zero_pages += count;
	if (last && last->kind == STEP_ZERO && last->pgno + last->count == pgno)
		last->count += count;
	else
		a->step->pages[a->step->npages++] =
			(struct step_page){.kind = STEP_ZERO, .pgno = pgno, .count = count};
}

/* A known page that was removed meanwhile is stored after all. */
static int restore(struct appender *a, struct step *step, struct step_page *page)
{
	char packed[PAGE_BYTES];
	int r = page_encode(a->codec, CODEC_QUICK, step->kept[page->kept], packed, &page->row);

	if (r < 0)
		return r;
	page->kind = STEP_NEW;
	return append_block(a, &page->row, packed);
}

static int restore_missing(struct appender *a, struct step *step)
{
	for (size_t i = 0; i < step->npages; i++) {
		int r = 0;

		if (step->pages[i].kind == STEP_KNOWN && step->pages[i].known_id == 0)
			r = restore(a, step, &step->pages[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What is to be durable before the step commits. */
static int step_ready(struct appender *a, struct step *step)
{
	step->writer = a->writer;
	step->stored_pages = a->totals.stored_pages - a->committed.stored_pages;
	step->stored_bytes = a->totals.stored_bytes - a->committed.stored_bytes;
	return a->writer ? pack_writer_flush(a->writer, &step->written) : 0;
}

static void step_done(struct appender *a, struct step *step)
{
	/* the packs of a draft that are not locked any more its own process may be
	 * collecting: what lies there is found and confirmed as of any other */
	if (step->full && a->steps.edit)
		recent_clear(a->recent);
	step_clear(step);
}

/* Goes on with a step of which pages are missing: they are stored outside of the
 * transaction, and all of it confirmed again: each turn has fewer known pages. */
static int step_retry(struct appender *a, struct step *step, size_t missing)
{
	int r = 0;

	while (r == 0 && missing > 0) {
		r = restore_missing(a, step);
		if (r == 0)
			r = step_ready(a, step);
		if (r == 0)
			r = step_commit(&a->steps, step, &missing);
	}
	return r;
}

/* Waits for the step that the committer has. */
static int settle(struct appender *a)
{
	size_t missing;
	int r;

	if (!a->committer || !committer_has_step(a->committer))
		return 0;
	r = committer_wait(a->committer, &missing);
	if (r == 0)
		r = step_retry(a, a->other, missing);
	step_done(a, a->other);
	return r;
}

/* Commits what was collected. */
static int commit_here(struct appender *a)
{
	size_t missing = 0;
	int r = step_ready(a, a->step);

	if (r == 0)
		r = step_commit(&a->steps, a->step, &missing);
	if (r == 0)
		r = step_retry(a, a->step, missing);
	if (r == 0)
		a->committed = a->totals;
	step_done(a, a->step);
	return r;
}

/* Hands what was collected to the committer, which has done the former step. */
static int commit_beside(struct appender *a)
{
	struct step *step = a->step;
	int r = settle(a);

	if (r == 0)
		r = step_ready(a, step);
	if (r < 0)
		return r;
	a->step = a->other;
	a->other = step;
	committer_start(a->committer, step);
	return 0;
}

static int commit(struct appender *a)
{
	if (a->step->npages == 0)
		return 0;
	return a->committer ? commit_beside(a) : commit_here(a);
}

/* Commits where a window more might not fit. */
static int step_make_room(struct appender *a)
{
	size_t most = a->steps.edit ? STEP_EDIT : STEP_PAGES;

	if (a->step->npages + WINDOW_PAGES > most || a->step->nkept + WINDOW_PAGES > STEP_KEPT)
		return commit(a);
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

/* How much of the image lies between the first and the last page of it. */
static uint64_t step_span(const struct step *step)
{
	const struct step_page *last;

	if (step->npages == 0)
		return 0;
	last = &step->pages[step->npages - 1];
	return last->pgno + last->count - step->pages[0].pgno;
}

int appender_near_end(struct appender *a, uint64_t rest)
{
	if (!a->committer || rest < REST_LEAST || step_span(a->step) < REST_SHARE * rest ||
	    committer_is_busy(a->committer))
		return 0;
	return commit(a);
}

void appender_edit(struct appender *a, struct appender_edit *edit)
{
	a->steps.edit = edit;
	a->steps.last.count = 0;
	a->step->npages = 0;
	a->step->nkept = 0;
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
	int r = commit(a);

	if (r == 0)
		r = settle(a);
	if (r == 0)
		*ret = a->totals;
	return r;
}
