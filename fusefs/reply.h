/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that more than one operation gives.
 *
 * Errors of the store become errors of a file system here, and those that an
 * operator should know are logged here, each once. Any thread.
 */
#ifndef PAGODA_FUSEFS_REPLY_H
#define PAGODA_FUSEFS_REPLY_H

#include <stdint.h>

#include "db/index.h"
#include "fusefs/file.h"
#include "fusefs/fuse.h"
#include "fusefs/view.h"

#define REPLY_NODE_ROOM 64

/* The node in words, for messages where no file of it is open; returns text. */
const char *reply_node(uint64_t number, char text[REPLY_NODE_ROOM]);

/* Logs that what ("read") of object ("guest-a/mem") failed with err, which is
 * negative; only now and then if it comes again. */
void reply_log(struct view *view, const char *what, const char *object, int err);

/* Answers with err, which is negative, and logs it unless the caller alone is
 * to blame. */
void reply_failure(fuse_req_t req, const char *what, const char *object, int err);

/* Answers with r, 0 or negative. Once it is answered the file may be gone. */
void reply_result(fuse_req_t req, const char *what, const struct file *file, int r);

/* Answers with stat(2) of the node. file, NULL where none is open, says its size. */
void reply_stat(fuse_req_t req, struct index *index, uint64_t number, struct file *file);

#endif
