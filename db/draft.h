/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open drafts: snapshots that are being changed.
 *
 * A process has one struct drafts, and in it at most one struct draft for a
 * snapshot, shared by all who have it open; any thread. What is written is seen by
 * every reader of this process at once, and durable when draft_store returns 0. A
 * page is old or new, never mixed, also to a reader of many pages, and after a crash.
 *
 * One process at a time has a draft open for writing: it holds the write lease. Others
 * read what was stored when they opened it last.
 *
 * Errors as in db/store.h, with words. What could not be stored is kept, read as
 * written, and tried again by the next draft_store.
 */
#ifndef PAGODA_DB_DRAFT_H
#define PAGODA_DB_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/catalog.h"
#include "db/index.h"
#include "db/pages.h"

/* Pages written and not stored, over all drafts of a process: 64 MiB. */
#define DRAFTS_PAGES_MOST 16384

struct drafts;
struct draft;

/* store is borrowed and outlives it. */
int drafts_new(struct store *store, struct drafts **ret) MUST_CHECK;

/* After the last draft_close. -errno where something written could not be stored and
 * is lost now; all is freed in any case. */
int drafts_free(struct drafts *drafts);

/* Opens draft id. A writer waits wait_ms for another process to let it go; with 0 it
 * waits for no thread of this process either, which -EBUSY says too. -ENOENT where it
 * is gone, -ESTALE where it is no draft (any more), -EBUSY that names who writes,
 * -EROFS, -EBADMSG. */
int draft_open(struct drafts *drafts, struct index *index, uint64_t id, bool writer,
	       unsigned int wait_ms, struct draft **ret) MUST_CHECK;

/* The last writer stores what is left and lets the write lease go: may wait for the
 * store. Returns what draft_store says; the handle is gone in any case, and what was
 * not stored is kept, with the lease, for the next writer. */
int draft_close(struct draft *draft, bool writer);

/* One more handle of a writer, for one: nothing is waited for. */
void draft_hold(struct draft *draft);

/* By which it was opened first. */
const char *draft_name(const struct draft *draft);

/* Of the image, in bytes. */
uint64_t draft_size(const struct draft *draft);

/* Reads len bytes at off, inside the image. pages is the calling thread's. */
int draft_read(struct draft *draft, struct pages *pages, uint64_t off, void *buf,
	       size_t len) MUST_CHECK;

/* For writers. Each changes all of its bytes or, on an error, none. off + len lies
 * inside the image. -EAGAIN: no room before something is stored; see
 * drafts_make_room. At most 1 MiB at a time. */
int draft_write(struct draft *draft, struct pages *pages, uint64_t off, const void *buf,
		size_t len) MUST_CHECK;

/* The same for zeros, of any length; whole pages become explicit zero pages. */
int draft_zero(struct draft *draft, struct pages *pages, uint64_t off, uint64_t len) MUST_CHECK;

/* Stores pages until there is room again: waits for the store. */
int drafts_make_room(struct drafts *drafts) MUST_CHECK;

/* Makes all written so far durable. Waits for the writer lock of the store, up to
 * 30 s. With all nothing is left in table pending. */
int draft_store(struct draft *draft, bool all) MUST_CHECK;

/*
 * A draft that rewrites itself leaves garbage in its packs. drafts_are_untidy says that
 * one may have more than half of it; drafts_tidy has it collected, which takes a read
 * of all page rows: on the calling thread's index, and not where somebody waits.
 */
bool drafts_are_untidy(struct drafts *drafts);
int drafts_tidy(struct drafts *drafts, struct index *index) MUST_CHECK;

/* Is something written and not durable? */
bool draft_is_dirty(struct draft *draft);

/* Names one of which something is not durable; false: all is. */
bool drafts_find_dirty(struct drafts *drafts, char name[SNAPSHOT_NAME_MAX + 1]);

/* lseek(2) with SEEK_DATA or SEEK_HOLE of the merged image, with all that is written.
 * -ENXIO. */
int draft_seek(struct draft *draft, uint64_t off, bool data, uint64_t *ret_off) MUST_CHECK;

/* What stat(2) shows of a draft; false where this process has it not open for
 * writing: then its row says it. */
struct draft_stat {
	uint64_t data_pages;
	uint64_t changed_ns;
	bool has_vmstate_bytes; /* else the row's */
	uint64_t vmstate_bytes;
};
bool drafts_stat(struct drafts *drafts, uint64_t id, struct draft_stat *ret);

/* The version that reads show; grows with each change. */
uint64_t draft_version(struct draft *draft);

#endif
