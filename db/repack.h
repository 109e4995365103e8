/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repacking: the pages of one layer are written anew, in packs of their own, with
 * another codec. Page ids stay what they are; only where a page lies, and how, changes.
 * Pages that the layer shares with other snapshots move for all of them. What they
 * leave behind in the old packs is garbage, for db/gc.h.
 *
 * Others may read, import, remove and restore meanwhile, but not collect garbage nor
 * repack: that is one process at a time. The writer lock is held for steps of some 10
 * ms. It may be killed at any moment; what was moved by then is, and the next run goes
 * on with the rest.
 */
#ifndef PAGODA_DB_REPACK_H
#define PAGODA_DB_REPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/progress.h"
#include "db/codec.h"
#include "db/index.h"

struct repack_request {
	const char *name; /* of a sealed snapshot */
	enum codec codec;
	bool dry_run; /* only says what it would do: reads and encodes, writes nothing */
	struct progress *progress; /* borrowed, may be NULL */
};

struct repack_report {
	uint64_t pages;	  /* written anew; one that is shared counts once */
	uint64_t before;  /* bytes of them in the old packs */
	uint64_t after;	  /* and in the new ones */
	uint64_t packs;	  /* made */
	uint64_t damaged; /* left as they are */
};

/* Pages that have the codec already, or would grow with zstd, are left as they are. 1
 * MiB of memory; a dry run keeps 16 to 32 bytes for each page that is there more than
 * once.
 *
 * -ENOENT if there is no such snapshot, -EINVAL if it is a draft, -EBUSY, at once, if
 * another process collects garbage or repacks; -EBADMSG if the snapshot's map is damaged,
 * or pages are: then the rest was done. -ENOSPC, -EROFS. *ret is set on any error, to
 * what was done until then. */
int repack_snapshot(struct index *index, const struct repack_request *request,
		    struct repack_report *ret) MUST_CHECK;

#endif
