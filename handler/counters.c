/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/counters.h"

#include <assert.h>

#include "base/attributes.h"

#define ROW(field_, help_)                                                                         \
	{                                                                                          \
		.name = #field_, .offset = offsetof(struct counters, field_), .help = help_        \
	}

const struct counter_row counter_rows[] = {
	ROW(rounds, "turns of the loop"),
	ROW(batches, "reads that brought messages"),
	ROW(faults, "page faults read"),
	ROW(duplicates, "of these, on a page that was asked for already"),
	ROW(runs, "runs of pages served"),
	ROW(data_pages, "4 KiB pages installed from the image"),
	ROW(bytes, "bytes read from the image"),
	ROW(zero_pages, "4 KiB pages installed as zero: holes of the image"),
	ROW(removed_pages, "4 KiB pages installed as zero: removed by the machine"),
	ROW(present_pages, "pages found present and their waiters woken"),
	ROW(unmapped_pages, "pages the machine had unmapped when they were to be installed"),
	ROW(deferred_pages, "pages put off because a removal was under way"),
	ROW(partial_copies, "installs that the kernel ended early, continued"),
	ROW(removals, "removals read"),
	ROW(removed_bytes, "bytes of memory removed"),
	ROW(fill_bytes, "bytes of memory --fill has gone over"),
	ROW(ahead_bytes, "bytes that runs were extended by, to what will be touched next"),
	ROW(sleeps_saved, "waits that ended while the next fault was still looked for"),
	ROW(slow_reads, "reads of the image so slow that the session went on without them"),
	ROW(waiting_pages, "pages put off because the image could not be read"),
	ROW(lost_sources, "times that the file system of the image was found gone"),
	{.name = NULL},
};

size_t counters_bucket(uint64_t value, size_t buckets)
{
	size_t bucket = value <= 1 ? 0 : 64 - (size_t)__builtin_clzll(value - 1);

	return MIN(bucket, buckets - 1);
}

void counters_merge(struct counters *into, const struct counters *from)
{
	uint64_t *sum = (uint64_t *)into;
	const uint64_t *add = (const uint64_t *)from;

	static_assert(sizeof(struct counters) % sizeof(uint64_t) == 0, "all fields are words");
	for (size_t i = 0; i < sizeof(struct counters) / sizeof(uint64_t); i++)
		sum[i] += __atomic_load_n(&add[i], __ATOMIC_RELAXED);
}
