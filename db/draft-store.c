/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storing what was written to a draft.
 *
 *   swap     dirty becomes flushing, a new dirty begins; what a failure before left
 *            in flushing goes under dirty first
 *   few      a few pages: rows of table pending, one transaction, one flush
 *   many     with what is pending: classified, compressed and shared like an import,
 *            into a pack; in each transaction of its steps extents are spliced, and
 *            pending rows they cover go
 *   settle   flushing becomes pending, or a new stored map: one step for readers
 *
 * On any failure flushing stays as it is, hides what is stored, and is tried again.
 * Steps that were committed before it are no harm: they stored the same pages.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/draft-private.h"
#include "db/pending.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"
#include "db/window.h"

#define FEW_PAGES 64

struct storing {
	struct draft *draft;
	struct map *map; /* owned: what is stored, RUN_PENDING and RUN_ZERO */
	uint64_t version;
	uint64_t changed_ns;
};

static int swap(struct draft *draft, struct storing *storing)
{
	AUTO(overlay_free_at) struct overlay *empty = NULL;
	struct overlay *former;
	size_t before;
	int r = overlay_new(&empty);

	if (r < 0)
		return r;
	pthread_mutex_lock(&draft->lock);
	before = overlay_cost(draft->dirty) + overlay_cost(draft->flushing);
	r = overlay_take_under(draft->dirty, draft->flushing);
	if (r == 0) {
		former = draft->flushing;
		draft->flushing = draft->dirty;
		draft->dirty = TAKE_PTR(empty);
		overlay_free(former);
		draft->swaps++;
	}
	atomic_fetch_add(&draft->all->cost,
			 overlay_cost(draft->dirty) + overlay_cost(draft->flushing) - before);
	storing->version = draft->row.version;
	storing->changed_ns = draft->changed_ns;
	pthread_mutex_unlock(&draft->lock);
	return r;
}

void draft_version_made(struct draft *draft, uint64_t version)
{
	uint64_t before;

	pthread_mutex_lock(&draft->lock);
	before = draft->row.version;
	draft->row.version = version;
	pthread_mutex_unlock(&draft->lock);
	draft_seen_advance(draft, before, version);
}

/* ---- few ---- */

static int put_few(struct draft *draft, const struct map *map)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < map->nruns; i++) {
		if (map_run_kind(map, i) == RUN_ABSENT)
			continue;
		for (uint64_t pgno = map_run_first(map, i); r == 0 && pgno < map_run_end(map, i);
		     pgno++) {
			const void *plain = NULL;

			(void)!overlay_find(draft->flushing, pgno, &plain);
			r = layer_edit_pending(draft->edit, pgno, plain);
		}
	}
	return r;
}

static int store_few(struct draft *draft, struct storing *storing)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	/* in no pack yet, but its own: what of them is shared shows when they move */
	const struct layer_edit_stored stored = {.pages = overlay_data_pages(draft->flushing)};
	int r = transaction_begin(draft->index, TRANSACTION_DURABLE, &open);

	if (r < 0)
		return r;
	layer_edit_begin(draft->edit);
	r = put_few(draft, storing->map);
	if (r == 0)
		r = layer_edit_end(draft->edit, &stored, storing->version + 1, storing->changed_ns);
	if (r == 0)
		r = transaction_commit(&open);
	if (r < 0)
		return r;
	draft_version_made(draft, storing->version + 1);
	return 0;
}

/* flushing over pending becomes pending. Out of memory leaves it flushing: it is
 * stored once more, no harm. */
static int settle_few(struct draft *draft)
{
	struct overlay *former;
	size_t cost;
	int r;

	pthread_mutex_lock(&draft->lock);
	cost = overlay_cost(draft->flushing);
	r = overlay_take_under(draft->flushing, draft->pending);
	if (r == 0) {
		former = draft->pending;
		draft->pending = draft->flushing;
		draft->flushing = former; /* empty now */
		atomic_fetch_sub(&draft->all->cost, cost);
	}
	pthread_mutex_unlock(&draft->lock);
	return r;
}

/* ---- many ---- */

struct many {
	struct appender_edit edit;
	struct storing *storing;
};

static struct storing *storing_of(struct appender_edit *edit)
{
	return ((struct many *)edit)->storing;
}

static void on_begin(struct appender_edit *edit)
{
	layer_edit_begin(storing_of(edit)->draft->edit);
}

/* Keeps the run for the map that will show it. */
static int run_keep(struct draft *draft, uint64_t first, uint64_t count, uint64_t page)
{
	if (draft->nruns + 2 > draft->runs_room) {
		size_t room = draft->runs_room ? 2 * draft->runs_room : 64;
		struct run *more = reallocarray(draft->runs, room, sizeof(*more));

		if (!more)
			return fail_with(-ENOMEM, "out of memory");
		draft->runs = more;
		draft->runs_room = room;
	}
	/* two entries: where it begins and where it ends */
	draft->runs[draft->nruns++] =
		(struct run){.first = first, .page = page, .kind = page ? RUN_DATA : RUN_ZERO};
	draft->runs[draft->nruns++] = (struct run){.first = first + count};
	return 0;
}

static int on_run(struct appender_edit *edit, uint64_t first, uint64_t count, uint64_t page)
{
	struct draft *draft = storing_of(edit)->draft;
	int r = run_keep(draft, first, count, page);

	return r < 0 ? r : layer_edit_run(draft->edit, first, count, page);
}

static int on_end(struct appender_edit *edit, uint64_t stored_pages, uint64_t stored_bytes)
{
	struct storing *storing = storing_of(edit);
	const struct layer_edit_stored stored = {.pages = stored_pages, .bytes = stored_bytes};

	storing->draft->pack_bytes += stored_bytes;
	/* a step that is not committed leaves a number out, no more */
	return layer_edit_end(storing->draft->edit, &stored, ++storing->version,
			      storing->changed_ns);
}

/* count pages with bytes from pgno on, through one window after the other. */
static int append_data(struct draft *draft, struct window *window, uint64_t pgno, uint64_t count)
{
	int r = 0;

	while (r == 0 && count > 0) {
		uint64_t n = MIN(count, (uint64_t)WINDOW_PAGES);

		window->span = (struct image_window){.first = pgno, .npages = n};
		for (uint64_t i = 0; i < n; i++) {
			const void *plain = NULL;

			(void)!overlay_find(draft->flushing, pgno + i, &plain);
			memcpy(window->plain + i * PAGE_BYTES, plain, PAGE_BYTES);
		}
		r = window_classify(window, draft->index, draft->pages, NULL, NULL, CODEC_LZ4);
		if (r == 0)
			r = appender_add(draft->appender, window);
		pgno += n;
		count -= n;
	}
	return r;
}

static int append_all(struct draft *draft, const struct map *map)
{
	AUTO_FREE struct window *window = malloc(sizeof(*window));
	struct appender_totals totals;
	int r = window ? 0 : fail_with(-ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < map->nruns; i++) {
		uint64_t first = map_run_first(map, i);
		uint64_t count = map_run_end(map, i) - first;

		if (map_run_kind(map, i) == RUN_ZERO)
			r = appender_add_zero(draft->appender, first, count);
		else if (map_run_kind(map, i) == RUN_PENDING)
			r = append_data(draft, window, first, count);
	}
	return r == 0 ? appender_finish(draft->appender, &totals) : r;
}

static int store_many(struct draft *draft, struct storing *storing)
{
	struct many many = {.edit = {.begin = on_begin, .run = on_run, .end = on_end},
			    .storing = storing};
	uint64_t before = storing->version;
	int r = draft->appender
			? 0
			: appender_new(draft->index, draft->id, CODEC_LZ4, &draft->appender);

	draft->nruns = 0;
	if (r < 0)
		return r;
	appender_edit(draft->appender, &many.edit);
	r = append_all(draft, storing->map);
	appender_edit(draft->appender, NULL);
	if (storing->version != before)
		draft_version_made(draft, storing->version);
	return r;
}

/* The map of what the layer is now. */
static int stored_renew(struct draft *draft, struct stored **ret)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	AUTO(map_free_at) struct map *top = NULL;
	struct stored *stored = calloc(1, sizeof(*stored));
	int r = stored ? map_builder_new(draft->size / PAGE_BYTES, &builder)
		       : fail_with(-ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < draft->nruns; i += 2)
		r = map_builder_add(builder, 0, draft->runs[i].kind, draft->runs[i].first,
				    draft->runs[i + 1].first - draft->runs[i].first,
				    draft->runs[i].page);
	if (r == 0)
		r = map_builder_finish(builder, false, &top);
	if (r == 0)
		r = map_lay_over(top, draft->stored->layer, 0, &stored->layer);
	if (r == 0)
		r = map_lay_over(stored->layer, snapshot_map(draft->parent, MAP_MEM), 1,
				 &stored->mem);
	if (r < 0) {
		if (stored)
			map_free(stored->layer);
		free(stored);
		return r;
	}
	stored->refs = 1;
	*ret = stored;
	return 0;
}

static int settle_many(struct draft *draft)
{
	AUTO(overlay_free_at) struct overlay *empty = NULL;
	struct stored *stored = NULL;
	int r = overlay_new(&empty);

	if (r == 0)
		r = stored_renew(draft, &stored);
	if (r < 0)
		return r;
	pthread_mutex_lock(&draft->lock);
	atomic_fetch_sub(&draft->all->cost, overlay_cost(draft->flushing));
	overlay_free(draft->flushing);
	draft->flushing = TAKE_PTR(empty);
	draft_stored_unref(draft->stored);
	draft->stored = stored;
	pthread_mutex_unlock(&draft->lock);
	draft_look_tidy(draft);
	return 0;
}

/* What is pending goes into the pack too. */
static int take_pending(struct draft *draft)
{
	size_t before;
	int r;

	pthread_mutex_lock(&draft->lock);
	before = overlay_cost(draft->flushing);
	r = overlay_take_under(draft->flushing, draft->pending);
	atomic_fetch_add(&draft->all->cost, overlay_cost(draft->flushing) - before);
	pthread_mutex_unlock(&draft->lock);
	return r;
}

/* ---- all ---- */

static bool is_few(const struct draft *draft)
{
	size_t data = overlay_data_pages(draft->flushing);
	uint64_t zero = overlay_zero_pages(draft->flushing);

	return data + zero <= FEW_PAGES && data + zero + overlay_data_pages(draft->pending) +
							   overlay_zero_pages(draft->pending) <=
						   PENDING_MOST;
}

static int store_pages(struct draft *draft, bool all)
{
	AUTO(map_free_at) struct map *map = NULL;
	struct storing storing = {.draft = draft};
	bool few;
	int r = swap(draft, &storing);

	if (r < 0)
		return r;
	few = !all && is_few(draft);
	if (!few)
		r = take_pending(draft);
	if (r < 0 || overlay_is_empty(draft->flushing))
		return r;
	r = overlay_map(draft->flushing, draft->size / PAGE_BYTES, &map);
	storing.map = map;
	if (r == 0)
		r = few ? store_few(draft, &storing) : store_many(draft, &storing);
	if (r == 0)
		r = few ? settle_few(draft) : settle_many(draft);
	return r;
}

int draft_store_locked(struct draft *draft, bool all)
{
	bool clean;
	int r;

	pthread_mutex_lock(&draft->lock);
	clean = !draft->may_write ||
		(!draft_has_unstored(draft) && (!all || overlay_is_empty(draft->pending)));
	pthread_mutex_unlock(&draft->lock);
	if (clean)
		return 0;
	r = store_pages(draft, all);
	if (r == 0)
		r = draft_vmstate_store(draft);
	return r;
}

int draft_store(struct draft *draft, bool all)
{
	int r;

	pthread_mutex_lock(&draft->slow);
	r = draft_store_locked(draft, all);
	pthread_mutex_unlock(&draft->slow);
	return r;
}

/* The draft with most to store among those of less than limit, with a handle;
 * *ret_cost is what it has. NULL: none. */
static struct draft *fullest(struct drafts *drafts, size_t limit, size_t *ret_cost)
{
	struct draft *found = NULL;

	*ret_cost = 0;
	pthread_mutex_lock(&drafts->lock);
	for (struct draft *draft = drafts->first; draft; draft = draft->next) {
		size_t cost;

		pthread_mutex_lock(&draft->lock);
		cost = overlay_cost(draft->dirty) + overlay_cost(draft->flushing);
		pthread_mutex_unlock(&draft->lock);
		if (cost > *ret_cost && cost < limit) {
			*ret_cost = cost;
			found = draft;
		}
	}
	if (found)
		found->handles++;
	pthread_mutex_unlock(&drafts->lock);
	return found;
}

int drafts_make_room(struct drafts *drafts)
{
	size_t limit = SIZE_MAX;
	struct draft *draft;
	int r = 0;

	/* one that cannot be stored is left for a smaller one */
	while ((draft = fullest(drafts, limit, &limit))) {
		char text[FAIL_TEXT_MAX];

		r = draft_store(draft, true);
		if (r < 0)
			r = fail_prefix(r, "making room: %s", draft->name);
		fail_copy(r, text);
		(void)!draft_close(draft, false);
		if (r == 0)
			return 0;
		r = fail_with(r, "%s", text);
	}
	return r;
}

void draft_store_done(struct draft *draft)
{
	appender_free(draft->appender);
	layer_edit_free(draft->edit);
	pages_close(draft->pages);
	index_close(draft->index);
	free(draft->runs);
	draft->appender = NULL;
	draft->edit = NULL;
	draft->pages = NULL;
	draft->index = NULL;
	draft->runs = NULL;
	draft->nruns = draft->runs_room = 0;
}
