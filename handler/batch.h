/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one round of a session has to do: the faults it knows of, and the runs
 * they come to.
 *
 * Faults are added as they are read, in any order and with repetitions. The plan
 * looks up what each page is by now, so it comes after every removal read so
 * far has been applied; it empties the list of faults. A page that could not be
 * installed yet is kept: it is a fault of the next plan, which looks its state
 * up again.
 *
 *   fault -> region? -> page -> sort, once each -> what is it? -> run
 *
 * Pure: no kernel, no file. One thread. Addresses and lengths are bytes.
 */
#ifndef PAGODA_HANDLER_BATCH_H
#define PAGODA_HANDLER_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "handler/bitmap.h"
#include "handler/regions.h"

#define BATCH_RUN_MOST (256 * 1024) /* bytes of a run of small pages */

enum run_kind {
	RUN_DATA,    /* bytes of the image */
	RUN_ZERO,    /* a hole of the image */
	RUN_REMOVED, /* given back by the machine: zero, whatever the image says */
};

struct run {
	uint64_t va;
	uint64_t off;
	uint64_t len;
	uint64_t page_size;
	uint64_t since_ns; /* when the first of its faults was read */
	uint64_t before;   /* of len: at its start, what nobody has asked for */
	uint64_t after;	   /* the same at its end (handler/ahead.h) */
	uint64_t fresh;	   /* of what was asked for: what has not waited for the source yet */
	enum run_kind kind;
};

/* What of the run was asked for. */
static inline uint64_t run_asked(const struct run *run)
{
	return run->va + run->before;
}

static inline uint64_t run_asked_end(const struct run *run)
{
	return run->va + run->len - run->after;
}

/* Leaves of the run what was asked for. */
static inline void run_trim(struct run *run)
{
	run->va += run->before;
	run->off += run->before;
	run->len -= run->before + run->after;
	run->before = run->after = 0;
}

struct fault {
	uint64_t va;
	uint64_t since_ns : 63;
	uint64_t waited : 1; /* for the source, in an earlier plan */
};

struct batch {
	struct fault *faults; /* owned */
	size_t nfaults;
	size_t faults_room;
	struct run *runs; /* owned */
	size_t nruns;
	size_t runs_room;
	/* what the last plan found */
	size_t npages;
	size_t duplicates;
	size_t outside;	     /* faults in no region: they are in no run */
	uint64_t outside_va; /* one of them */
};

/* What is known of the pages. All borrowed. */
struct page_states {
	const struct regions *regions;
	const struct bitmap *removed; /* by page of the image */
	const struct bitmap *zero;    /* the same: pages in holes */
};

void batch_init(struct batch *batch);
void batch_done(struct batch *batch);

/* -ENOMEM: the fault was not added. */
int batch_add(struct batch *batch, uint64_t va, uint64_t since_ns) MUST_CHECK;

/* Turns the faults into runs, by address, none of two regions or kinds, none
 * longer than BATCH_RUN_MOST or one page. -ENOMEM: the faults are all still there. */
int batch_plan(struct batch *batch, const struct page_states *pages) MUST_CHECK;

/* Puts back what was asked for of a run of the last plan, from va on, and was not
 * installed; nothing of a run that is not fresh will be. It cannot fail: the plan has left the
 * room. */
void batch_keep(struct batch *batch, const struct run *run, uint64_t va);

/* The run of one kind that begins at the page va of the region, most bytes long
 * at most (a page at least). */
struct run batch_run_at(const struct page_states *pages, const struct region *region, uint64_t va,
			uint64_t most);

/* How many bytes from the page va of the region on are zero, by their holes or by
 * removal. For small pages. */
uint64_t batch_zeros_at(const struct page_states *pages, const struct region *region, uint64_t va);

#endif
