/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/compare.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fail.h"
#include "db/page.h"
#include "db/rows.h"

#define BATCH_PAGES 256

/* One of the two, and where in its map the walk is. */
struct side {
	const struct snapshot *snapshot; /* borrowed */
	const struct map *map;		 /* of it */
	size_t run;
	struct page_row rows[BATCH_PAGES]; /* of a batch that is being compared */
	char plain[PAGE_BYTES];
};

struct compare {
	struct index *index; /* borrowed */
	struct pages *pages; /* borrowed */
	compare_found *found;
	void *context;
	struct progress *progress;
	uint64_t zero_hash;
	struct compare_range range; /* the one that may go on; count 0: none */
	struct compare_totals totals;
	struct side a;
	struct side b;
};

static struct run run_of(const struct side *side)
{
	return map_run(side->map, side->run);
}

static enum run_kind kind_of(const struct side *side)
{
	return map_run_kind(side->map, side->run);
}

/* Has the run of the side bytes, stored or pending? */
static bool is_data(const struct side *side)
{
	return kind_of(side) == RUN_DATA || kind_of(side) == RUN_PENDING;
}

/* As what it is told: where bytes lie is nobody's business. */
static enum run_kind shown(enum run_kind kind)
{
	return kind == RUN_PENDING ? RUN_DATA : kind;
}

/* The id of the stored page at pgno, which is in the run of the side. */
static uint64_t id_of(const struct side *side, uint64_t pgno)
{
	return run_of(side).page + (pgno - run_of(side).first);
}

static int range_end(struct compare *c)
{
	struct compare_range range = c->range;

	c->range.count = 0;
	if (range.count == 0)
		return 0;
	c->totals.ranges++;
	if (range.a == RUN_ABSENT || range.b == RUN_ABSENT)
		c->totals.beyond += range.count;
	else if (range.a == range.b)
		c->totals.changed += range.count;
	else if (range.a == RUN_ZERO)
		c->totals.filled += range.count;
	else
		c->totals.zeroed += range.count;
	return c->found(c->context, &range);
}

/* The pages differ: they go on with the open range or begin the next. */
static int differ(struct compare *c, uint64_t first, uint64_t count, enum run_kind a,
		  enum run_kind b)
{
	int r;

	if (c->range.count > 0 && c->range.first + c->range.count == first && c->range.a == a &&
	    c->range.b == b) {
		c->range.count += count;
		return 0;
	}
	r = range_end(c);
	c->range = (struct compare_range){first, count, a, b};
	return r;
}

static int load(struct compare *c, struct side *side, uint64_t pgno)
{
	uint64_t bad;
	int r;

	if (kind_of(side) == RUN_PENDING)
		return snapshot_read(side->snapshot, c->pages, MAP_MEM, pgno * PAGE_BYTES,
				     side->plain, PAGE_BYTES);
	r = pages_read(c->pages, id_of(side, pgno), 1, side->plain, &bad);
	return r < 0 ? fail_prefix(r, "%s: page %" PRIu64, snapshot_row(side->snapshot)->name, pgno)
		     : 0;
}

/* Pending pages have no rows: only their hash counts. */
static int rows_make(struct compare *c, struct side *side, uint64_t pgno, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		r = load(c, side, pgno + i);
		side->rows[i] = (struct page_row){.hash = page_hash(side->plain)};
	}
	return r;
}

/* Rows of count stored pages from pgno on, each of which is one. */
static int rows_load(struct compare *c, struct side *side, uint64_t pgno, size_t count)
{
	int r;

	if (kind_of(side) == RUN_PENDING)
		return rows_make(c, side, pgno, count);
	if (kind_of(side) != RUN_DATA)
		return 0;
	r = rows_get(c->index, id_of(side, pgno), count, false, side->rows);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (side->rows[i].length == 0)
			return fail_with(-EBADMSG, "%s: page %" PRIu64 ": its row is missing",
					 snapshot_row(side->snapshot)->name, pgno + i);
	return r;
}

/* 1 if page i of the batch, at pgno, differs; 0 if not. A hash that differs is enough:
 * it is part of what was proved when the snapshot was opened. */
static int page_differs(struct compare *c, size_t i, uint64_t pgno)
{
	bool a_data = is_data(&c->a);
	bool b_data = is_data(&c->b);
	const struct page_row *a = &c->a.rows[i];
	const struct page_row *b = &c->b.rows[i];
	int r = 0;

	if ((a_data ? a->hash : c->zero_hash) != (b_data ? b->hash : c->zero_hash))
		return 1;
	if (kind_of(&c->a) == RUN_DATA && kind_of(&c->b) == RUN_DATA && a->pack == b->pack &&
	    a->offset == b->offset)
		return 0;
	memset(c->a.plain, 0, PAGE_BYTES);
	memset(c->b.plain, 0, PAGE_BYTES);
	if (a_data)
		r = load(c, &c->a, pgno);
	if (r == 0 && b_data)
		r = load(c, &c->b, pgno);
	return r < 0 ? r : memcmp(c->a.plain, c->b.plain, PAGE_BYTES) != 0;
}

/* Pages of one run on each side, at least one of which is of data. */
static int compare_stored(struct compare *c, uint64_t first, uint64_t count)
{
	int r = 0;

	while (r == 0 && count > 0) {
		size_t n = (size_t)MIN(count, (uint64_t)BATCH_PAGES);

		r = rows_load(c, &c->a, first, n);
		if (r == 0)
			r = rows_load(c, &c->b, first, n);
		for (size_t i = 0; r == 0 && i < n; i++) {
			r = page_differs(c, i, first + i);
			if (r > 0)
				r = differ(c, first + i, 1, shown(kind_of(&c->a)),
					   shown(kind_of(&c->b)));
		}
		first += n;
		count -= n;
	}
	return r;
}

static int compare_runs(struct compare *c, uint64_t first, uint64_t count)
{
	if (!is_data(&c->a) && !is_data(&c->b))
		return 0;
	if (kind_of(&c->a) == RUN_DATA && kind_of(&c->b) == RUN_DATA &&
	    id_of(&c->a, first) == id_of(&c->b, first))
		return 0;
	return compare_stored(c, first, count);
}

/* What both have. */
static int compare_common(struct compare *c, uint64_t npages)
{
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < npages;) {
		uint64_t a_end = map_run_end(c->a.map, c->a.run);
		uint64_t b_end = map_run_end(c->b.map, c->b.run);
		uint64_t end = MIN(MIN(a_end, b_end), npages);

		r = compare_runs(c, at, end - at);
		progress_add(c->progress, (end - at) * PAGE_BYTES);
		c->a.run += a_end == end;
		c->b.run += b_end == end;
		at = end;
	}
	return r;
}

/* What only this side has, from pgno on. */
static int compare_rest(struct compare *c, const struct side *side, uint64_t pgno)
{
	const struct map *map = side->map;
	int r = 0;

	for (size_t i = side->run; r == 0 && i < map->nruns; i++) {
		enum run_kind kind = shown(map_run_kind(map, i));
		uint64_t first = MAX(pgno, map_run_first(map, i));

		r = differ(c, first, map_run_end(map, i) - first, side == &c->a ? kind : RUN_ABSENT,
			   side == &c->a ? RUN_ABSENT : kind);
	}
	return r;
}

int compare_snapshots(struct index *index, struct pages *pages, const struct snapshot *a,
		      const struct snapshot *b, compare_found *found, void *context,
		      struct progress *progress, struct compare_totals *ret)
{
	static const char zero_page[PAGE_BYTES];
	struct compare c = {.index = index,
			    .pages = pages,
			    .found = found,
			    .context = context,
			    .progress = progress,
			    .zero_hash = page_hash(zero_page),
			    .a = {.snapshot = a, .map = snapshot_map(a, MAP_MEM)},
			    .b = {.snapshot = b, .map = snapshot_map(b, MAP_MEM)}};
	uint64_t common = MIN(c.a.map->npages, c.b.map->npages);
	int r;

	progress_set_total(progress, common * PAGE_BYTES);
	r = compare_common(&c, common);
	if (r == 0)
		r = compare_rest(&c, &c.a, common);
	if (r == 0)
		r = compare_rest(&c, &c.b, common);
	if (r == 0)
		r = range_end(&c);
	if (r == 0)
		*ret = c.totals;
	return r;
}
