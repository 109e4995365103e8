/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The balloon: gives pages of the guest back to the host.
 *
 * Pages are removed by a thread of its own while the guest runs on, as in a real
 * VMM, so that with userfaultfd removals and faults can meet. balloon_give() and
 * balloon_wait() belong to one thread, the machine's.
 */
#ifndef PAGODA_TESTS_VMM_BALLOON_H
#define PAGODA_TESTS_VMM_BALLOON_H

#include <stdint.h>

#include "base/attributes.h"
#include "tests/vmm/memory.h"

struct balloon;

/* Starts the thread. memory is borrowed. NULL when out of memory or threads. */
struct balloon *balloon_new(const struct memory *memory);

/* Removes what is left, and ends the thread. */
void balloon_free(struct balloon *balloon);

/* Has count pages from pgno on removed; the guest must not use them meanwhile. */
void balloon_give(struct balloon *balloon, uint64_t pgno, uint64_t count);

/* Returns when everything given is removed: 0, or the -errno of the first removal
 * that failed, with words. */
int balloon_wait(struct balloon *balloon) MUST_CHECK;

#endif
