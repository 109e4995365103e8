/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/ahead.h"

static uint64_t run_end(const struct run *run)
{
	return run->va + run->len;
}

/* The stream that the run continues, one it leaps ahead in, or the oldest. */
static struct stream *stream_find(struct ahead *ahead, const struct run *run)
{
	struct stream *best = &ahead->streams[0];

	for (size_t i = 0; i < AHEAD_STREAMS; i++) {
		struct stream *s = &ahead->streams[i];

		if (s->end == run->va || s->start == run_end(run))
			return s;
		if (run->va > s->end && run->va - s->end <= s->window)
			return s;
		if (s->moved < best->moved)
			best = s;
	}
	return best;
}

static void grow(struct stream *s)
{
	s->window = MAX(2 * s->window, (uint64_t)AHEAD_LEAST);
	s->window = MIN(s->window, (uint64_t)BATCH_RUN_MOST);
}

/* How much the run may grow by. */
static uint64_t room_of(const struct stream *s, const struct run *run)
{
	return run->len < BATCH_RUN_MOST ? MIN(s->window, BATCH_RUN_MOST - run->len) : 0;
}

static void move(struct ahead *ahead, struct stream *s, const struct run *run)
{
	s->start = run->va;
	s->end = run_end(run);
	s->moved = ++ahead->runs;
}

static void extend_forward(const struct page_states *pages, struct run *run, uint64_t room,
			   uint64_t ceiling)
{
	const struct region *region = regions_find(pages->regions, run->va);
	uint64_t most = MIN(run->len + room, ceiling - run->va);
	struct run longer = batch_run_at(pages, region, run->va, most);

	if (longer.len > run->len) {
		run->after = longer.len - run->len;
		run->len = longer.len;
	}
}

static void extend_backward(const struct page_states *pages, struct run *run, uint64_t room,
			    uint64_t floor)
{
	const struct region *region = regions_find(pages->regions, run->va);
	uint64_t least = MAX(floor, region->va) + run->page_size;
	uint64_t len = 0;

	while (len + run->page_size <= room && run->va - len >= least) {
		uint64_t va = run->va - len - run->page_size;

		if (batch_run_at(pages, region, va, run->page_size).kind != run->kind)
			break;
		len += run->page_size;
	}
	run->va -= len;
	run->off -= len;
	run->len += len;
	run->before = len;
}

void ahead_extend(struct ahead *ahead, const struct page_states *pages, struct run *run,
		  uint64_t floor, uint64_t ceiling)
{
	struct stream *s = stream_find(ahead, run);

	if (run->kind == RUN_REMOVED || run->page_size > REGIONS_PAGE)
		return;
	if (s->end == run->va && s->moved) {
		grow(s);
		extend_forward(pages, run, room_of(s, run), ceiling);
	} else if (s->start == run_end(run) && s->moved) {
		grow(s);
		extend_backward(pages, run, room_of(s, run), floor);
	} else if (run->va > s->end && run->va - s->end <= s->window) {
		s->window /= 2;
	} else {
		s->window = 0;
	}
	move(ahead, s, run);
}

void ahead_fell_short(struct ahead *ahead, const struct run *run)
{
	for (size_t i = 0; i < AHEAD_STREAMS; i++)
		if (ahead->streams[i].start == run->va && ahead->streams[i].end == run_end(run))
			ahead->streams[i].window = 0;
}
