/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a check found damaged, and dropping it, so that the rest is whole.
 *
 * Dropped are: snapshots whose row, map or digest does not prove; snapshots of whose
 * layer a page is damaged or missing; snapshots that build on one of these, since
 * a layer is nothing without what is below it; rows of damaged pages; attachments
 * that are not what was stored. Nothing else is touched. One thread.
 */
#ifndef PAGODA_DB_DAMAGE_H
#define PAGODA_DB_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/index.h"

struct damage;

/* For check_store(), which notes there what it finds. */
int damage_new(struct damage **ret) MUST_CHECK;
void damage_free(struct damage *damage);
DEFINE_AUTO(struct damage *, damage_free)

struct damage_report {
	uint64_t snapshots;   /* dropped */
	uint64_t attachments; /* of others */
	uint64_t pages;	      /* rows of damaged pages, and others nobody needs any more */
	uint64_t packs;	      /* files removed with that */
	uint64_t bytes;	      /* given back */
	/* A snapshot, or an attachment of one ("" for the snapshot itself), was dropped. */
	void (*dropped)(void *context, const char *snapshot, const char *attachment);
	void *context;
};

/* Drops it all, then collects garbage. -EBUSY names who has one of the snapshots open:
 * then nothing was dropped. -EBADMSG where the index itself is damaged: in that nothing
 * can be dropped without harm. The caller sets the callback. */
int damage_drop(struct index *index, struct damage *damage,
		struct damage_report *report) MUST_CHECK;

#endif
