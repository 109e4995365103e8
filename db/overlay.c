/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two parts: a hash table of pages with bytes, and a sorted list of intervals of
 * zero pages.
 *
 *   1. A page in the table has those bytes, whatever the intervals say: writing one
 *      page into a zeroed terabyte splits nothing.
 *   2. Zeroing takes the pages it covers out of the table.
 *   3. Intervals neither overlap nor touch.
 */
#include "config.h"

#include "db/overlay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/store.h"

#define BUCKETS_LEAST 64
#define INTERVALS_A_PAGE 16 /* as they cost: each is 16 bytes, and moved when one is added */

struct entry {
	struct entry *next;
	uint64_t pgno;
	char plain[PAGE_BYTES];
};

struct interval {
	uint64_t first;
	uint64_t end; /* behind the last */
};

struct overlay {
	struct entry **buckets; /* owned; nbuckets, a power of two */
	size_t nbuckets;
	size_t nentries;
	struct interval *intervals; /* owned */
	size_t nintervals;
	size_t room;
};

int overlay_new(struct overlay **ret)
{
	AUTO(overlay_free_at) struct overlay *o = calloc(1, sizeof(*o));

	if (o)
		o->buckets = calloc(BUCKETS_LEAST, sizeof(*o->buckets));
	if (!o || !o->buckets)
		return fail_with(-ENOMEM, "out of memory");
	o->nbuckets = BUCKETS_LEAST;
	*ret = TAKE_PTR(o);
	return 0;
}

void overlay_free(struct overlay *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->nbuckets && o->nentries > 0; i++)
		while (o->buckets[i]) {
			struct entry *entry = o->buckets[i];

			o->buckets[i] = entry->next;
			free(entry);
		}
	free(o->buckets);
	free(o->intervals);
	free(o);
}

/* ---- pages with bytes ---- */

static size_t bucket_of(uint64_t pgno, size_t nbuckets)
{
	return (size_t)((pgno * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (nbuckets - 1);
}

/* The place that points at the entry of pgno, or where it would be put. */
static struct entry **entry_find(const struct overlay *o, uint64_t pgno)
{
	struct entry **at = &o->buckets[bucket_of(pgno, o->nbuckets)];

	while (*at && (*at)->pgno != pgno)
		at = &(*at)->next;
	return at;
}

/* Best effort: a table that stays small is only slower. */
static void table_grow(struct overlay *o)
{
	size_t nbuckets = 2 * o->nbuckets;
	struct entry **buckets = calloc(nbuckets, sizeof(struct entry *));

	if (!buckets)
		return;
	for (size_t i = 0; i < o->nbuckets; i++)
		while (o->buckets[i]) {
			struct entry *entry = o->buckets[i];
			struct entry **to = &buckets[bucket_of(entry->pgno, nbuckets)];

			o->buckets[i] = entry->next;
			entry->next = *to;
			*to = entry;
		}
	free(o->buckets);
	o->buckets = buckets;
	o->nbuckets = nbuckets;
}

/* Takes entry over; its page is not in the table. */
static void entry_add(struct overlay *o, struct entry *entry)
{
	struct entry **at;

	if (o->nentries >= o->nbuckets)
		table_grow(o);
	at = &o->buckets[bucket_of(entry->pgno, o->nbuckets)];
	entry->next = *at;
	*at = entry;
	o->nentries++;
}

static void entry_remove(struct overlay *o, struct entry **at)
{
	struct entry *entry = *at;

	*at = entry->next;
	free(entry);
	o->nentries--;
}

static void entries_remove(struct overlay *o, uint64_t first, uint64_t end)
{
	if (o->nentries == 0)
		return;
	if (end - first < o->nbuckets) {
		for (uint64_t pgno = first; pgno < end; pgno++) {
			struct entry **at = entry_find(o, pgno);

			if (*at)
				entry_remove(o, at);
		}
		return;
	}
	for (size_t i = 0; i < o->nbuckets; i++)
		for (struct entry **at = &o->buckets[i]; *at;) {
			if ((*at)->pgno >= first && (*at)->pgno < end)
				entry_remove(o, at);
			else
				at = &(*at)->next;
		}
}

int overlay_put(struct overlay *o, uint64_t pgno, const void *plain)
{
	struct entry *entry = *entry_find(o, pgno);

	if (!entry) {
		entry = malloc(sizeof(*entry));
		if (!entry)
			return fail_with(-ENOMEM, "out of memory");
		entry->pgno = pgno;
		entry_add(o, entry);
	}
	memcpy(entry->plain, plain, PAGE_BYTES);
	return 0;
}

void overlay_patch(struct overlay *o, uint64_t pgno, size_t within, const void *buf, size_t len)
{
	struct entry *entry = *entry_find(o, pgno);

	assert(entry && within <= PAGE_BYTES && len <= PAGE_BYTES - within);
	memcpy(entry->plain + within, buf, len);
}

/* ---- zero pages ---- */

/* The first interval that ends behind pgno; nintervals if none does. */
static size_t interval_find(const struct overlay *o, uint64_t pgno)
{
	size_t low = 0;
	size_t high = o->nintervals;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (o->intervals[middle].end <= pgno)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int intervals_reserve(struct overlay *o)
{
	size_t room = o->room ? 2 * o->room : 16;
	struct interval *more;

	if (o->nintervals < o->room)
		return 0;
	more = reallocarray(o->intervals, room, sizeof(*more));
	if (!more)
		return fail_with(-ENOMEM, "out of memory");
	o->intervals = more;
	o->room = room;
	return 0;
}

/* Adds first .. end-1, joined with what it overlaps or touches. */
static int interval_add(struct overlay *o, uint64_t first, uint64_t end)
{
	size_t from = interval_find(o, first > 0 ? first - 1 : 0);
	size_t to = from;
	int r = intervals_reserve(o);

	if (r < 0)
		return r;
	for (; to < o->nintervals && o->intervals[to].first <= end; to++) {
		first = MIN(first, o->intervals[to].first);
		end = MAX(end, o->intervals[to].end);
	}
	memmove(&o->intervals[from + 1], &o->intervals[to],
		(o->nintervals - to) * sizeof(*o->intervals));
	o->intervals[from] = (struct interval){first, end};
	o->nintervals += 1 - (to - from);
	return 0;
}

int overlay_zero(struct overlay *o, uint64_t first, uint64_t count)
{
	int r = interval_add(o, first, first + count);

	if (r == 0)
		entries_remove(o, first, first + count);
	return r;
}

static bool is_in_interval(const struct overlay *o, uint64_t pgno)
{
	size_t i = interval_find(o, pgno);

	return i < o->nintervals && o->intervals[i].first <= pgno;
}

/* ---- both ---- */

enum overlay_kind overlay_find(const struct overlay *o, uint64_t pgno, const void **ret_plain)
{
	const struct entry *entry = o->nentries > 0 ? *entry_find(o, pgno) : NULL;

	if (entry) {
		*ret_plain = entry->plain;
		return OVERLAY_DATA;
	}
	return o->nintervals > 0 && is_in_interval(o, pgno) ? OVERLAY_ZERO : OVERLAY_NONE;
}

int overlay_take_under(struct overlay *over, struct overlay *under)
{
	/* pages first: while both are in over, its own intervals still tell which
	 * pages of under are older */
	for (size_t i = 0; i < under->nbuckets; i++)
		while (under->buckets[i]) {
			struct entry *entry = under->buckets[i];
			const void *plain;

			under->buckets[i] = entry->next;
			under->nentries--;
			if (overlay_find(over, entry->pgno, &plain) == OVERLAY_NONE)
				entry_add(over, entry);
			else
				free(entry);
		}
	while (under->nintervals > 0) {
		const struct interval *last = &under->intervals[under->nintervals - 1];
		int r = interval_add(over, last->first, last->end);

		if (r < 0)
			return r;
		under->nintervals--;
	}
	return 0;
}

size_t overlay_cost(const struct overlay *o)
{
	return o->nentries + (o->nintervals + INTERVALS_A_PAGE - 1) / INTERVALS_A_PAGE;
}

size_t overlay_data_pages(const struct overlay *o)
{
	return o->nentries;
}

uint64_t overlay_zero_pages(const struct overlay *o)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < o->nintervals; i++)
		pages += o->intervals[i].end - o->intervals[i].first;
	/* those that were written again */
	for (size_t i = 0; i < o->nbuckets && pages > 0; i++)
		for (const struct entry *entry = o->buckets[i]; entry; entry = entry->next)
			pages -= is_in_interval(o, entry->pgno);
	return pages;
}

static int pgno_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Sorted numbers of the pages with bytes, for the caller to free. */
static int sorted_pages(const struct overlay *o, uint64_t **ret)
{
	uint64_t *pages = malloc((o->nentries + 1) * sizeof(*pages));
	size_t n = 0;

	if (!pages)
		return fail_with(-ENOMEM, "out of memory");
	for (size_t i = 0; i < o->nbuckets; i++)
		for (const struct entry *entry = o->buckets[i]; entry; entry = entry->next)
			pages[n++] = entry->pgno;
	qsort(pages, n, sizeof(*pages), pgno_compare);
	*ret = pages;
	return 0;
}

static int add_zero(const struct overlay *o, struct map_builder *builder)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->nintervals; i++)
		r = map_builder_add(builder, 1, RUN_ZERO, o->intervals[i].first,
				    o->intervals[i].end - o->intervals[i].first, 0);
	return r;
}

int overlay_map(const struct overlay *o, uint64_t npages, struct map **ret)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	AUTO_FREE uint64_t *pages = NULL;
	int r = map_builder_new(npages, &builder);

	if (r == 0)
		r = sorted_pages(o, &pages);
	for (size_t i = 0, n; r == 0 && i < o->nentries; i += n) {
		for (n = 1; i + n < o->nentries && pages[i + n] == pages[i] + n;)
			n++;
		r = map_builder_add(builder, 0, RUN_PENDING, pages[i], n, 0);
	}
	if (r == 0) /* below them: invariant 1 */
		r = add_zero(o, builder);
	if (r == 0)
		r = map_builder_finish(builder, false, ret);
	if (r == 0)
		map_flatten(*ret); /* it is one layer after all */
	return r;
}
