/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/session-private.h"

#include <inttypes.h>

#include "base/clock.h"

/* A page waits for the source: since the source was first asked in vain, whenever the
 * fault was. */
static void wait_for_source(struct session *s)
{
	if (!s->waiting_ns)
		s->waiting_ns = s->waited_ns ? s->waited_ns : clock_monotonic_ns();
}

/* Who still waits does so from now on. */
static void source_answered(struct session *s)
{
	s->waited_ns = 0;
	if (s->waiting_ns)
		s->waiting_ns = clock_monotonic_ns();
}

/* Zeros: NULL where the kernel can make them. It has no ZEROPAGE for hugetlb. */
static const unsigned char *zeros_for(const struct session *s, const struct run *run)
{
	return run->page_size > REGIONS_PAGE ? s->zeros : NULL;
}

/* The bytes to install. *ret_later: not yet. The run loses what nobody has asked for where
 * that cannot be read. */
static enum end run_read(struct session *s, struct run *run, bool filling,
			 const unsigned char **ret_data, bool *ret_later)
{
	*ret_later = false;
	if (run->kind != RUN_DATA) {
		*ret_data = zeros_for(s, run);
		return END_NONE;
	}
	switch (supply_read(s->supply, s->member, run, filling, ret_data)) {
	case SUPPLY_HERE:
		source_answered(s);
		counter_add(&s->counters->bytes, run->len);
		return END_NONE;
	case SUPPLY_LATER:
		*ret_later = true;
		return END_NONE;
	case SUPPLY_LEFT:
		return END_LEFT;
	case SUPPLY_LESS:
		ahead_fell_short(&s->ahead, run);
		run_trim(run);
		return run_read(s, run, filling, ret_data, ret_later);
	case SUPPLY_FAILED:
		break;
	}
	return END_SOURCE_FAILED;
}

/* *ret_later: nothing was installed, as the bytes are not there yet. */
enum end session_install(struct session *s, struct run *run, bool filling, uint64_t *ret_va,
			 bool *ret_later)
{
	const unsigned char *data = NULL;
	enum end end = run_read(s, run, filling, &data, ret_later);
	bool fell_short;

	if (end || *ret_later)
		return end;
	counter_add(&s->counters->runs, 1);
	end = install_run(&s->install, run, data, ret_va, &fell_short);
	if (fell_short)
		ahead_fell_short(&s->ahead, run);
	return end;
}

static void latency_count(struct session *s, const struct run *run, uint64_t pages)
{
	uint64_t waited_us = (clock_monotonic_ns() - run->since_ns) / NS_PER_US;

	counter_add(&s->counters->latencies[counters_bucket(waited_us, COUNTERS_LATENCIES)], pages);
}

/* How many pages of what was asked for lie before va. */
static uint64_t asked_before(const struct run *run, uint64_t va)
{
	va = MIN(va, run_asked_end(run));
	return va > run_asked(run) ? (va - run_asked(run)) / run->page_size : 0;
}

static enum end run_serve(struct session *s, struct run run)
{
	uint64_t asked = asked_before(&run, run_asked_end(&run));
	uint64_t va = run.va;
	uint64_t done;
	bool later;
	enum end end = session_install(s, &run, false, &va, &later);

	if (end == END_LEFT)
		return end;
	done = asked_before(&run, va);
	if (done > 0)
		latency_count(s, &run, done);
	if (end || done == asked)
		return end;
	if (later) {
		counter_add(&s->counters->waiting_pages, run.fresh / run.page_size);
		run.fresh = 0;
		wait_for_source(s);
	} else {
		s->deferred = true;
		counter_add(&s->counters->deferred_pages, asked - done);
	}
	batch_keep(&s->batch, &run, va);
	return END_NONE;
}

/* The runs of the batch from s->turn on: zeros first, as they cost next to nothing
 * and the reads are under way. */
static enum end runs_serve(struct session *s)
{
	enum end end = END_NONE;

	while (!end && s->turn < 2 * s->batch.nruns) {
		size_t i = s->turn++;
		bool second = i >= s->batch.nruns;
		const struct run *run = &s->batch.runs[second ? i - s->batch.nruns : i];

		if ((run->kind == RUN_DATA) == second)
			end = run_serve(s, *run);
	}
	return end;
}

/* What is left of the round, for the leader that finds it. */
enum end session_serve(struct session *s)
{
	enum end end = runs_serve(s);

	if (!end && s->batch.outside > 0)
		return shared_end(s->with.shared, END_FAULT_OUTSIDE,
				  "a fault at address 0x%" PRIx64 ", which is in no region",
				  s->batch.outside_va);
	return end;
}

static void look_ahead(struct session *s)
{
	struct batch *batch = &s->batch;
	uint64_t floor = 0;

	for (size_t i = 0; i < batch->nruns; i++) {
		struct run *run = &batch->runs[i];
		uint64_t ceiling = i + 1 < batch->nruns ? run[1].va : UINT64_MAX;

		ahead_extend(&s->ahead, &s->pages, run, floor, ceiling);
		counter_add(&s->counters->ahead_bytes, run->before + run->after);
		floor = run->va + run->len;
	}
}

enum end session_plan(struct session *s)
{
	if (batch_plan(&s->batch, &s->pages) < 0)
		return shared_end(s->with.shared, END_OUT_OF_MEMORY, "no memory for a batch");
	counter_add(&s->counters->duplicates, s->batch.duplicates);
	if (s->with.readahead && !s->with.fill)
		look_ahead(s);
	s->turn = 0;
	s->waited_ns = s->waiting_ns;
	s->waiting_ns = s->fill_ns;
	s->deferred = false;
	return supply_announce(s->supply, s->member, &s->batch) == SUPPLY_LEFT ? END_LEFT
									       : END_NONE;
}

/* ---- what comes late ---- */

/* Pages that nobody serves any more become faults again. */
static enum end faults_again(struct session *s, const struct run *run, uint64_t va)
{
	for (va = MAX(va, run_asked(run)); va < run_asked_end(run); va += run->page_size)
		if (batch_add(&s->batch, va, run->since_ns) < 0)
			return shared_end(s->with.shared, END_OUT_OF_MEMORY,
					  "no memory for a fault");
	return END_NONE;
}

/* As the pages are by now: some may have been removed. */
static enum end late_install(struct session *s, const struct reading *reading, uint64_t *ret_va)
{
	const struct run *run = &reading->run;
	const struct region *region = regions_find(s->pages.regions, run->va);
	uint64_t end_va = run->va + run->len;
	enum end end = END_NONE;
	uint64_t va = run->va;
	bool fell_short;

	while (va < end_va && !end) {
		struct run piece = batch_run_at(&s->pages, region, va, end_va - va);

		end = install_run(&s->install, &piece,
				  piece.kind == RUN_DATA ? reading->data + (va - run->va)
							 : zeros_for(s, &piece),
				  &va, &fell_short);
		if (va < piece.va + piece.len)
			break; /* a removal is under way */
	}
	*ret_va = va;
	return end;
}

static enum end late_take(struct session *s, const struct reading *reading)
{
	const struct run *run = &reading->run;
	uint64_t va = run->va;
	enum end end = END_NONE;

	if (reading->data) {
		source_answered(s);
		counter_add(&s->counters->bytes, run->len);
		counter_add(&s->counters->runs, 1);
		end = late_install(s, reading, &va);
	}
	if (reading->fill)
		session_fill_reach(s, MAX(s->fill_va, run->va), va);
	else if (va > run->va)
		latency_count(s, run, (va - run->va) / run->page_size);
	if (end || reading->fill)
		return end;
	return faults_again(s, run, va);
}

enum end session_serve_late(struct session *s)
{
	struct reading reading;
	enum end end = END_NONE;

	while (!end && supply_next_done(s->supply, &reading)) {
		enum end collected;

		if (reading.run.len > 0)
			end = late_take(s, &reading);
		collected = supply_collect(s->supply);
		end = end ? end : collected;
	}
	return end;
}
