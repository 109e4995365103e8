/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collecting garbage: page rows that no snapshot names go, packs of which nothing is
 * left too, and packs that are garbage by more than half are written anew. Page ids
 * stay what they are; only where a page lies changes.
 *
 * Others may read, import, remove, restore and collect meanwhile. Nothing that is open
 * is taken, nor a pack that is being written, nor one of a snapshot that another
 * process has open: it may read a draft by an older map. The writer lock is held for
 * steps of some 10 ms. Memory: 8 MiB of marks, 24 MiB for a rewrite, and 100 bytes a
 * pack, however large the store is. It may be killed at any moment; the next run goes
 * on.
 */
#ifndef PAGODA_DB_GC_H
#define PAGODA_DB_GC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/progress.h"
#include "db/index.h"

struct gc_report {
	uint64_t pages;	    /* rows of pages dropped */
	uint64_t packs;	    /* pack files removed, rewritten ones too */
	uint64_t rewritten; /* of those */
	uint64_t made;	    /* packs that what they held was moved to */
	uint64_t bytes;	    /* of pack files given back: removed less made */
	uint64_t damaged;   /* packs left as they are, because a page of them is damaged */
};

struct gc_request {
	bool dry_run;		   /* only says what it would do: reads, and locks nothing */
	uint64_t without;	   /* in a dry run: as if this snapshot were gone; 0: none */
	struct progress *progress; /* borrowed, may be NULL */
};

/* Collects what is garbage in the whole store. -EBUSY, at once, if another process
 * does; -EBADMSG if the index is too damaged to tell, or pages of packs that were to be
 * rewritten are damaged: then *ret is valid all the same, and the rest was done.
 * -ENOSPC if a rewrite found no room: what needs none was done. *ret is set on any
 * error, to what was done until then. */
int gc_run(struct index *index, const struct gc_request *request, struct gc_report *ret) MUST_CHECK;

/* How many bytes of packs a removal of that snapshot, and a collection, would give back
 * more than a collection alone. */
int gc_would_free(struct index *index, uint64_t snapshot, uint64_t *ret_bytes) MUST_CHECK;

/* Collects as gc_run does in the packs of one maker (a draft that rewrites itself) alone, at any
 * time, beside gc_run too. The calling process may have leases on it; where another has one nothing
 * is done. Outside of any transaction, on the calling thread's index; takes a full read of the
 * extents and of the page rows.
 *
 * What the caller sees to: (1) that none of its own threads reads by an older map of
 * the snapshot, or that such a reader resolves again where a page row is missing;
 * (2) the rules 3 and 4 of db/marks.h; (3) that a pack is kept open in its
 * pack_writer until the rows of all its blocks are committed: an open one is left
 * alone. */
int gc_run_maker(struct index *index, uint64_t maker, struct gc_report *ret) MUST_CHECK;

#endif
