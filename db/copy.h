/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a sealed snapshot, and the layers it needs, into another store.
 *
 * A layer that the other store has already, on the same layers and with the same
 * digests, is used there, whatever its name is; the others are copied with their names,
 * notes, times and attachments. Pages that the other store has are shared. All layers
 * become visible at once, when each has proved to be what it was here; a copy that fails
 * or is killed leaves nothing that is listed.
 *
 * Locks, in this order: the lease of the snapshot here, which keeps its parents too;
 * leases there; the writer lock there, for each step. Nothing is written here, and no
 * two writer locks are held at once. One thread; memory does not grow with the image.
 */
#ifndef PAGODA_DB_COPY_H
#define PAGODA_DB_COPY_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/progress.h"
#include "db/catalog.h"
#include "db/codec.h"
#include "db/index.h"

struct copy_request {
	const char *name;	   /* here */
	const char *new_name;	   /* there; NULL: the same */
	enum codec codec;	   /* of the pages that are new to the other store */
	struct progress *progress; /* borrowed, may be NULL */
};

struct copy_report {
	uint64_t layers;       /* copied */
	uint64_t reused;       /* were there */
	uint64_t stored_pages; /* new to the other store */
	uint64_t stored_bytes; /* of those, in packs */
};

/* -ENOENT if the snapshot is not there; -EINVAL if it is a draft, or both are one
 * store; -EEXIST if the other store has something else under one of the names; -EBADMSG
 * if a page is damaged here, or what was written there does not prove. */
int copy_snapshot(struct index *from, struct index *to, const struct copy_request *request,
		  struct copy_report *ret, struct snapshot_row *ret_row) MUST_CHECK;

#endif
