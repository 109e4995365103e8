/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of a copy share: see copy.c for the whole. One thread.
 */
#ifndef PAGODA_DB_COPY_PRIVATE_H
#define PAGODA_DB_COPY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "db/appender.h"
#include "db/copy.h"
#include "db/pages.h"
#include "db/window.h"

struct copy_layer {
	uint64_t id;	 /* here */
	uint64_t new_id; /* there; 0: not yet */
	bool reused;
	struct appender_totals totals;
};

struct copy {
	struct index *from;   /* borrowed */
	struct index *to;     /* borrowed */
	struct pages *pages;  /* owned; of from */
	struct pages *others; /* owned; of to */
	const struct copy_request *request;
	struct copy_layer *layers; /* owned; the base first */
	size_t nlayers;
	struct window *window; /* owned */
	struct copy_report report;
};

/* copy-match.c: */

/* Lists the layers of the snapshot top, which is leased, and leases those the other
 * store has; they become reused. -EINVAL where one is a draft, -EEXIST where a name
 * that will be needed is taken there. On failure too, leases of layers with a new_id are
 * the caller's to drop. */
int copy_match(struct copy *copy, uint64_t top) MUST_CHECK;

/* What the layer will be called there. */
const char *copy_name_there(const struct copy *copy, const struct copy_layer *layer,
			    const struct snapshot_row *row);

/* Is that name free? */
int copy_check_name(struct copy *copy, const struct copy_layer *layer,
		    const struct snapshot_row *row) MUST_CHECK;

#endif
