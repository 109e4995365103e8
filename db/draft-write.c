/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to an open draft: all of it happens in memory.
 *
 * A page that is written in part needs its other bytes first. They are read without
 * the lock; they are those of now as long as dirty did not become flushing since
 * (`swaps`), or if the page is in dirty by then. Else they are read again, and at
 * last with the lock that keeps a store from beginning.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "db/draft-private.h"
#include "db/page.h"
#include "db/store-private.h"

#define TRIES 4

/* A page of which only a part changes. */
struct part {
	uint64_t pgno;
	size_t within;
	size_t len;		/* 0: there is none */
	const char *from;	/* NULL: zeros */
	char plain[PAGE_BYTES]; /* what it was */
};

/* A change of a draft: whole pages, and a part before and after them. */
struct change {
	struct part head;
	struct part tail;
	uint64_t first;
	uint64_t count;	  /* whole pages */
	const char *from; /* of the whole pages; NULL: zeros */
};

/* ---- room ---- */

static int room_take(struct drafts *drafts, size_t pages)
{
	size_t before = atomic_fetch_add(&drafts->cost, pages);

	if (pages == 0 || before + pages <= DRAFTS_PAGES_MOST)
		return 0;
	atomic_fetch_sub(&drafts->cost, pages);
	return -EAGAIN;
}

/* ---- applying ---- */

/* One page with bytes: with lock held. */
static int put_page(struct draft *draft, uint64_t pgno, const char *plain)
{
	/* what a VMM clears is a page of zeros: it needs no memory */
	if (page_is_zero(plain))
		return overlay_zero(draft->dirty, pgno, 1);
	return overlay_put(draft->dirty, pgno, plain);
}

static void merge(char *plain, const struct part *part)
{
	if (part->from)
		memcpy(plain + part->within, part->from, part->len);
	else
		memset(plain + part->within, 0, part->len);
}

/* Is what was read of the page what it is? If dirty has it by now, that is. With lock
 * held. */
static bool part_settle(struct draft *draft, struct part *part, uint64_t swaps)
{
	const void *plain;
	enum overlay_kind kind;

	if (part->len == 0)
		return true;
	kind = overlay_find(draft->dirty, part->pgno, &plain);
	if (kind == OVERLAY_DATA)
		memcpy(part->plain, plain, PAGE_BYTES);
	else if (kind == OVERLAY_ZERO)
		memset(part->plain, 0, PAGE_BYTES);
	return kind != OVERLAY_NONE || draft->swaps == swaps;
}

static int part_apply(struct draft *draft, struct part *part)
{
	if (part->len == 0)
		return 0;
	merge(part->plain, part);
	return put_page(draft, part->pgno, part->plain);
}

/* All of it in one go, with lock held. Running out of memory in the middle leaves
 * pages old and new; each is one of the two. */
static int apply(struct draft *draft, struct change *change)
{
	size_t before = overlay_cost(draft->dirty);
	int r = part_apply(draft, &change->head);

	if (r == 0 && change->count > 0 && !change->from)
		r = overlay_zero(draft->dirty, change->first, change->count);
	for (uint64_t i = 0; r == 0 && change->from && i < change->count; i++)
		r = put_page(draft, change->first + i, change->from + i * PAGE_BYTES);
	if (r == 0)
		r = part_apply(draft, &change->tail);
	draft->changes++;
	draft->changed_ns = clock_wall_ns();
	draft_view_drop(draft);
	atomic_fetch_add(&draft->all->cost, overlay_cost(draft->dirty) - before);
	return r;
}

static int part_read(struct draft *draft, struct pages *pages, struct part *part)
{
	if (part->len == 0)
		return 0;
	return draft_read(draft, pages, part->pgno * PAGE_BYTES, part->plain, PAGE_BYTES);
}

/* 1: done. 0: a store began meanwhile, once more. */
static int change_try(struct draft *draft, struct pages *pages, struct change *change)
{
	uint64_t swaps;
	int r;

	draft_lock(draft, pages);
	swaps = draft->swaps;
	pthread_mutex_unlock(&draft->lock);
	r = part_read(draft, pages, &change->head);
	if (r == 0)
		r = part_read(draft, pages, &change->tail);
	if (r < 0)
		return r;
	draft_lock(draft, pages);
	if (part_settle(draft, &change->head, swaps) && part_settle(draft, &change->tail, swaps)) {
		r = apply(draft, change);
		r = r < 0 ? r : 1;
	}
	pthread_mutex_unlock(&draft->lock);
	return r;
}

static int change_do(struct draft *draft, struct pages *pages, struct change *change)
{
	int r = 0;

	for (int i = 0; i < TRIES && r == 0; i++)
		r = change_try(draft, pages, change);
	if (r == 0) {
		index_waits(pages_index(pages));
		pthread_mutex_lock(&draft->slow);
		r = change_try(draft, pages, change);
		pthread_mutex_unlock(&draft->slow);
	}
	return MIN(r, 0);
}

/* Splits len bytes at off into a head, whole pages and a tail. */
static void change_make(struct change *change, uint64_t off, const char *from, uint64_t len)
{
	size_t within = off % PAGE_BYTES;

	change->head.len = change->tail.len = 0;
	change->count = 0;
	if (within != 0 || len < PAGE_BYTES) {
		size_t n = (size_t)MIN(len, (uint64_t)(PAGE_BYTES - within));

		change->head.pgno = off / PAGE_BYTES;
		change->head.within = within;
		change->head.len = n;
		change->head.from = from;
		off += n;
		len -= n;
		from = from ? from + n : NULL;
	}
	change->first = off / PAGE_BYTES;
	change->count = len / PAGE_BYTES;
	change->from = from;
	change->tail.pgno = change->first + change->count;
	change->tail.within = 0;
	change->tail.len = len % PAGE_BYTES;
	change->tail.from = from ? from + change->count * PAGE_BYTES : NULL;
}

int draft_write(struct draft *draft, struct pages *pages, uint64_t off, const void *buf, size_t len)
{
	struct change change;
	size_t room;
	int r;

	if (len == 0)
		return 0;
	change_make(&change, off, buf, len);
	room = (size_t)change.count + 3; /* head, tail, intervals */
	r = room_take(draft->all, room);
	if (r < 0)
		return r;
	r = change_do(draft, pages, &change);
	atomic_fetch_sub(&draft->all->cost, room);
	return r;
}

int draft_zero(struct draft *draft, struct pages *pages, uint64_t off, uint64_t len)
{
	struct change change;
	size_t room;
	int r;

	if (len == 0)
		return 0;
	change_make(&change, off, NULL, len);
	/* all of it is one interval and leaves nothing else: no room is wanted for that */
	room = off == 0 && len == draft->size ? 0 : 3; /* head, tail, interval */
	r = room_take(draft->all, room);
	if (r < 0)
		return r;
	r = change_do(draft, pages, &change);
	atomic_fetch_sub(&draft->all->cost, room);
	return r;
}
