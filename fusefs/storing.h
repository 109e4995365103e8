/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that stores working sets and drafts.
 *
 * Storing waits for the writer lock of the store, up to 30 s. A thread that
 * answers the kernel must not: four such waits would stop every read of the view,
 * and the machines that run from it. So requests that store are put in a queue
 * and answered from here when it is done, in the order in which they came.
 *
 * Who waited all the time in which another found the store busy is told so too,
 * so nobody waits longer than two such times. The same holds for drafts and a disk
 * that is full.
 */
#ifndef PAGODA_FUSEFS_STORING_H
#define PAGODA_FUSEFS_STORING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/store.h"
#include "fusefs/file.h"
#include "fusefs/fuse.h"
#include "fusefs/view.h"

struct draft;
struct storing;

/* Main thread. Opens what the thread needs; starts none. store is borrowed.
 * -errno with words. */
int storing_new(struct store *store, struct storing **ret) MUST_CHECK;

/* Main thread. Starts it; view is borrowed and outlives it. Signals that the
 * caller has blocked stay blocked in it. -errno with words. */
int storing_start(struct storing *storing, struct view *view) MUST_CHECK;

/* Main thread. Does what is in the queue, then ends the thread. Before the
 * session and the files go, after the last request. */
void storing_close(struct storing *storing);
DEFINE_AUTO(struct storing *, storing_close)

/* Any thread, does not wait. Each answers req, at once if too many wait: with what
 * the last found where there is no room, else EBUSY. */

/* file_store. Where it is of a draft, and no more than one other thread does so, it is
 * done by the calling thread: a small fsync is quicker than waking another. */
void storing_store(struct storing *storing, fuse_req_t req, struct file *file);

/* Truncates node number, by file if it is open, by file_truncate_open, or else by
 * file_truncate_closed; answers with stat(2) of the node. Where mem of a draft became
 * zero the kernel has dropped what it had cached by then. */
void storing_truncate(struct storing *storing, fuse_req_t req, uint64_t number, struct file *file,
		      uint64_t size);

/* file_write of a draft, once there is room: stores for that. data is copied. */
void storing_write(struct storing *storing, fuse_req_t req, struct file *file, uint64_t off,
		   bool append, const void *data, size_t len);

/* Answers a write of len bytes at off that failed with err, and has the kernel drop
 * what it may show of it. */
void storing_write_failed(struct storing *storing, fuse_req_t req, struct file *file, uint64_t off,
			  size_t len, int err);

/* draft_close of a writer, whose failure is logged: never refused. */
void storing_let_go(struct storing *storing, struct draft *draft);

/* file_zero, as storing_write. */
void storing_zero(struct storing *storing, fuse_req_t req, struct file *file, uint64_t off,
		  uint64_t len);

/* file_open where it has to be waited for. fi is copied. */
void storing_open(struct storing *storing, fuse_req_t req, uint64_t number,
		  const struct fuse_file_info *fi);

/* Answers what came of file_open, at once. */
void storing_opened(struct storing *storing, fuse_req_t req, uint64_t number,
		    struct fuse_file_info *fi, int r, struct file *file);

/* file_store, then file_close; for a file of node number whose release was
 * answered: it is never refused, and its failure is logged. Where there is nothing to
 * store it is done at once. */
void storing_release(struct storing *storing, uint64_t number, struct file *file);

#endif
