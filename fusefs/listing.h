/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directory listings. No state between two readdir calls: the offset alone says
 * where to go on, so any number of snapshots costs one row of memory, and what
 * comes or goes between two calls moves no other entry.
 *
 * Functions belong to the thread of the index; 0 or -errno with words.
 */
#ifndef PAGODA_FUSEFS_LISTING_H
#define PAGODA_FUSEFS_LISTING_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/fail.h"
#include "db/index.h"
#include "fusefs/fuse.h"

/* A listing being put together. */
struct listing {
	fuse_req_t req;
	char *data;  /* borrowed */
	size_t room; /* bytes of data */
	size_t used;
	int left_out;		 /* -EBADMSG if a snapshot was, else 0 */
	char why[FAIL_TEXT_MAX]; /* of the last that was */
};

/* Adds entries from offset off on until it is full. On an error what was added
 * before is valid. */
int listing_root(struct listing *listing, struct index *index, uint64_t off) MUST_CHECK;

/* The same for the directory number of a snapshot; empty if it is gone. */
int listing_snapshot(struct listing *listing, struct index *index, uint64_t number,
		     uint64_t off) MUST_CHECK;

#endif
