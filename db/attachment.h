/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files kept with a snapshot: "vmstate" as it was given, "workingset". (And
 * "changed" of drafts, which catalog.c reads and writes itself.)
 */
#ifndef PAGODA_DB_ATTACHMENT_H
#define PAGODA_DB_ATTACHMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"

#define ATTACHMENT_BYTES_MAX (UINT64_C(64) << 20)

/* Reads an attachment ("vmstate", "workingset") as a whole, proved against its
 * hash; the caller frees *ret_data, which is never NULL. A draft has its parent's
 * vmstate until one is written. -ENOENT where there is none, -EBADMSG. */
int attachment_read(struct index *index, uint64_t id, const char *name, void **ret_data,
		    size_t *ret_len) MUST_CHECK;

/* Replaces an attachment as a whole and durably; the writer lock is held as long as
 * writing it takes. -EFBIG beyond ATTACHMENT_BYTES_MAX,
 * -ENOENT where the snapshot is gone. */
int attachment_write(struct index *index, uint64_t id, const char *name, const void *data,
		     size_t len) MUST_CHECK;

#endif
