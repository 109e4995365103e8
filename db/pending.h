/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `pending`: pages of a draft that a small fsync made durable, until a pack
 * takes them. A row is newer than any extent that covers its page.
 *
 * A row's data is empty for a zero page, else the XXH3-64 of the plain page
 * (8 bytes, little-endian) and the page as it lies in packs. Private to db/.
 */
#ifndef PAGODA_DB_PENDING_H
#define PAGODA_DB_PENDING_H

#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"
#include "db/overlay.h"

/* A draft with more moves them all to a pack. */
#define PENDING_MOST 512

/* All pages of that draft, proved; the caller frees *ret. -EBADMSG where a page is
 * outside the image or is not what was written. */
int pending_load(struct index *index, uint64_t id, uint64_t npages,
		 struct overlay **ret) MUST_CHECK;

/* Inside a write transaction: */

/* Puts a page; plain NULL: a zero page. */
int pending_put(struct index *index, uint64_t id, uint64_t pgno, const void *plain) MUST_CHECK;

/* Takes out what lies in first .. first+count-1. */
int pending_delete(struct index *index, uint64_t id, uint64_t first, uint64_t count) MUST_CHECK;

#endif
