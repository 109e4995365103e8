/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readahead: what a machine will probably touch next is installed with what it
 * touches now, since the number of faults, and the size of what one of them brings,
 * decide how fast memory is restored.
 *
 * A stream is a place where faults go forward or backward without a gap. Each fault
 * that continues one doubles its window, up to the longest run; one that leaps ahead
 * within reach halves it; one that belongs to none begins a new stream, in the place
 * of the one that has not moved for longest, and brings nothing more. So who touches
 * at random gets what he touches.
 *
 * A run grows by pages of its own kind in its own region only: never over removed
 * pages, never from data into a hole or over one. Pages that are there already end it.
 *
 * Pure. One thread. Addresses and lengths are bytes.
 */
#ifndef PAGODA_HANDLER_AHEAD_H
#define PAGODA_HANDLER_AHEAD_H

#include <stddef.h>
#include <stdint.h>

#include "handler/batch.h"

#define AHEAD_STREAMS 16
#define AHEAD_LEAST (16 * 1024)

struct stream {
	uint64_t start; /* what was installed last: the next fault is expected right */
	uint64_t end;	/* before or behind it */
	uint64_t window;
	uint64_t moved; /* when, in runs seen */
};

struct ahead {
	struct stream streams[AHEAD_STREAMS];
	uint64_t runs; /* seen */
};

/* Lets a run of the plan grow: run->before and run->after. It stays within
 * [floor, ceiling), where no other run of the plan is. */
void ahead_extend(struct ahead *ahead, const struct page_states *pages, struct run *run,
		  uint64_t floor, uint64_t ceiling);

/* Some of what a run had grown by was there already. */
void ahead_fell_short(struct ahead *ahead, const struct run *run);

#endif
