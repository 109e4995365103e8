/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning and the end of a draft: fork and seal. One thread, with its index.
 */
#ifndef PAGODA_DB_FORK_H
#define PAGODA_DB_FORK_H

#include "base/attributes.h"
#include "db/catalog.h"
#include "db/index.h"

/* Makes a draft of that name on a sealed snapshot: a row, whatever the size. -ENOENT,
 * -EEXIST, -EINVAL where parent is a draft itself. */
int fork_snapshot(struct index *index, const char *parent, const char *name,
		  struct snapshot_row *ret_row) MUST_CHECK;

/* Seals a draft: from then on it is immutable, and proved whenever it is opened.
 * Waits up to 2 s for writers to go, then -EBUSY that names who has it open for
 * writing. -ENOENT, -EINVAL where it is sealed already. */
int fork_seal(struct index *index, const char *name, struct snapshot_row *ret_row) MUST_CHECK;

#endif
