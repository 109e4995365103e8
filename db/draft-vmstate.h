/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmstate of an open draft: a file of any length up to ATTACHMENT_BYTES_MAX, in bytes.
 *
 * Any thread; only draft_vmstate_open reads the store. draft_store stores it with the
 * pages. 0 or -errno.
 */
#ifndef PAGODA_DB_DRAFT_VMSTATE_H
#define PAGODA_DB_DRAFT_VMSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/draft.h"

/* Loads it, once and before all others. Without wait it is -EBUSY where a thread stores.
 * Else errors as in db/draft.h, with words. */
int draft_vmstate_open(struct draft *draft, struct index *index, bool wait) MUST_CHECK;

uint64_t draft_vmstate_size(struct draft *draft);

/* Reads up to the end; returns how many bytes those were. */
size_t draft_vmstate_read(struct draft *draft, uint64_t off, void *buf, size_t len);

/* -EFBIG, -ENOMEM. With append off is not looked at. */
int draft_vmstate_write(struct draft *draft, uint64_t off, bool append, const void *buf,
			size_t len) MUST_CHECK;
int draft_vmstate_truncate(struct draft *draft, uint64_t size) MUST_CHECK;

#endif
