/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session counts. A worker counts into memory that the keeper reads while
 * it does: one writer, relaxed atomics, no lock. Each field is one row of the
 * table in counters.c, which gives its name and meaning to every output.
 */
#ifndef PAGODA_HANDLER_COUNTERS_H
#define PAGODA_HANDLER_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

/* Bucket i of a histogram counts values up to 2^i, above the one before; the
 * last takes the rest as well. */
#define COUNTERS_SIZES 12     /* messages of one read: 1 to 2048 */
#define COUNTERS_LATENCIES 24 /* microseconds: 1 to 8388608 */

struct counters {
	uint64_t rounds;
	uint64_t batches;
	uint64_t faults;
	uint64_t duplicates;
	uint64_t runs;
	uint64_t data_pages;
	uint64_t bytes;
	uint64_t zero_pages;
	uint64_t removed_pages;
	uint64_t present_pages;
	uint64_t unmapped_pages;
	uint64_t deferred_pages;
	uint64_t partial_copies;
	uint64_t removals;
	uint64_t removed_bytes;
	uint64_t fill_bytes;
	uint64_t ahead_bytes;
	uint64_t sleeps_saved;
	uint64_t slow_reads;
	uint64_t waiting_pages;
	uint64_t lost_sources;
	uint64_t sizes[COUNTERS_SIZES];
	uint64_t latencies[COUNTERS_LATENCIES];
};

struct counter_row {
	const char *name;
	size_t offset;
	const char *help;
};

/* The single counters, in the order of the struct; a row with a NULL name ends it. */
extern const struct counter_row counter_rows[];

static inline void counter_add(uint64_t *counter, uint64_t n)
{
	/* the only writer: a plain load will do, other processes see whole words */
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t counter_get(const struct counters *counters, const struct counter_row *row)
{
	return __atomic_load_n((const uint64_t *)((const char *)counters + row->offset),
			       __ATOMIC_RELAXED);
}

/* The bucket of a histogram with that many buckets. */
size_t counters_bucket(uint64_t value, size_t buckets);

/* Adds what from has counted to into; from may be counting meanwhile. */
void counters_merge(struct counters *into, const struct counters *from);

#endif
