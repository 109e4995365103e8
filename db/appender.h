/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The appender: windows of an image, in order, become pack bytes, page rows and
 * extents of a snapshot that is being imported. What is left out between them is
 * absent from its layer. Or they change the layer of a draft: see appender_edit.
 *
 * Used by one thread, with its index, unless it is to have a thread of its own for its
 * transactions: appender_commit_beside. It commits in steps, each short under the
 * writer lock; pack bytes are durable before a step points at them.
 */
#ifndef PAGODA_DB_APPENDER_H
#define PAGODA_DB_APPENDER_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/catalog.h"
#include "db/codec.h"
#include "db/index.h"
#include "db/window.h"

struct appender;

struct appender_totals {
	uint64_t data_pages;   /* of the layer, not zero */
	uint64_t zero_pages;   /* of the layer */
	uint64_t stored_pages; /* of those, new to the store */
	uint64_t stored_bytes; /* of those, in packs */
};

/* For the snapshot of that id, whose windows are encoded with codec; index is borrowed. */
int appender_new(struct index *index, uint64_t snapshot, enum codec codec,
		 struct appender **ret) MUST_CHECK;

/* From now on steps are committed by a thread of the appender, beside the one that adds
 * to it, which leaves the index alone until appender_finish or appender_free. Not for a
 * draft. */
int appender_commit_beside(struct appender *appender) MUST_CHECK;

/* What was appended since the last step is given back; packs are closed. */
void appender_free(struct appender *appender);
DEFINE_AUTO(struct appender *, appender_free)

/* The next window, of data; pages that are the parent's are left out. */
int appender_add(struct appender *appender, const struct window *window) MUST_CHECK;

/* The next zero pages, of any number. */
int appender_add_zero(struct appender *appender, uint64_t first, uint64_t count) MUST_CHECK;

/* rest pages are left of the image, some of which will be added. Where that is little
 * beside what was collected, and the thread is free, it is given that now: what is left
 * for the end is waited for. */
int appender_near_end(struct appender *appender, uint64_t rest) MUST_CHECK;

/*
 * For a draft, which has pages already: each run of pages is given to run, in order,
 * between begin and end of the transaction that makes it durable; end is told what
 * the transaction added to packs. A transaction that fails is begun again, or left.
 */
struct appender_edit {
	void (*begin)(struct appender_edit *edit);
	int (*run)(struct appender_edit *edit, uint64_t first, uint64_t count, uint64_t page);
	int (*end)(struct appender_edit *edit, uint64_t stored_pages, uint64_t stored_bytes);
};

/* Begins with the next pages of a draft; edit is borrowed until the next call. What
 * a failure before left uncommitted is forgotten. */
void appender_edit(struct appender *appender, struct appender_edit *edit);

/* Commits the last step. */
int appender_finish(struct appender *appender, struct appender_totals *ret) MUST_CHECK;

#endif
