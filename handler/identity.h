/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a source is, so that it is known again when it has to be opened again: half of
 * one image and half of another is wrong memory.
 *
 * A snapshot in a view is known by its store, its id and its digest, whoever mounts
 * it and under which name; that is read from the info.json beside it. Any other file by
 * device, inode, size and time of its last change. A draft cannot be known again: what
 * was written to it and not stored is lost with its daemon, and others may write to it
 * meanwhile.
 *
 * No pointers: it travels between processes. Reading may wait for the file system.
 */
#ifndef PAGODA_HANDLER_IDENTITY_H
#define PAGODA_HANDLER_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

#define IDENTITY_UUID_BYTES 37	 /* of the text, with its NUL */
#define IDENTITY_DIGEST_BYTES 33 /* the same */

struct identity {
	uint64_t size; /* bytes */
	bool of_fuse;  /* a file of such a file system, a view or not */
	bool of_view;  /* the next three; else those after them */
	char store_uuid[IDENTITY_UUID_BYTES];
	char digest[IDENTITY_DIGEST_BYTES]; /* "" for a draft */
	uint64_t snapshot;
	uint64_t device;
	uint64_t inode;
	int64_t changed_ns;
};

/* Of the open file fd, which is in the open directory dir (-1: not known, so it is
 * no view). -EBADMSG where a view says nothing that can be understood, -ENOMEM, or
 * -errno of fstat(2), openat(2), read(2); with text. */
int identity_read(int fd, int dir, struct identity *ret) MUST_CHECK;

/* Whether what was opened as now is still what it was. */
bool identity_same(const struct identity *was, const struct identity *now);

/* Whether its bytes may change while it is served. */
bool identity_may_change(const struct identity *identity);

#endif
