/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing two snapshots of a store: which ranges of pages differ, and how.
 *
 * Told from the maps alone where both have the same stored page or zeros, else by
 * hash, and by the bytes where only the hash is the same. One thread.
 */
#ifndef PAGODA_DB_COMPARE_H
#define PAGODA_DB_COMPARE_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/progress.h"
#include "db/index.h"
#include "db/map.h"
#include "db/pages.h"
#include "db/snapshot.h"

/* Pages first .. first+count-1, all of which differ in one way: a and b are what each
 * side has there, RUN_ABSENT behind its end. */
struct compare_range {
	uint64_t first;
	uint64_t count;
	enum run_kind a;
	enum run_kind b;
};

/* In pages, but for ranges; each page that differs is in one of the last four. */
struct compare_totals {
	uint64_t ranges;
	uint64_t changed; /* data on both sides */
	uint64_t filled;  /* zero, then data */
	uint64_t zeroed;  /* data, then zero */
	uint64_t beyond;  /* behind the end of one side */
};

/* Called for each range in order; ranges do not touch unless they differ in kind. What
 * is not 0 ends the comparison with it. */
typedef int compare_found(void *context, const struct compare_range *range);

/* Calls found for all that differs between the merged images of a and b. -EBADMSG for
 * damage, with words that name the page; else errors of found and of pages_read. */
int compare_snapshots(struct index *index, struct pages *pages, const struct snapshot *a,
		      const struct snapshot *b, compare_found *found, void *context,
		      struct progress *progress, struct compare_totals *ret) MUST_CHECK;

#endif
