/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel has cached of a file of a draft (or of what was one) belongs to a
 * version. Is it this one? If not, whoever asks has it dropped, and says so with
 * drafts_set_seen once that is done for sure: until then every open does the same.
 * which tells the files of a snapshot apart.
 *
 * What the kernel has cached may also be what it could not write: drafts_lost says so,
 * and takes back what drafts_seen would say. losses tells whether it was called between
 * the two.
 *
 * Any thread; waits for nothing, and cannot fail.
 */
#ifndef PAGODA_DB_DRAFT_SEEN_H
#define PAGODA_DB_DRAFT_SEEN_H

#include <stdbool.h>
#include <stdint.h>

struct drafts;

enum draft_part {
	DRAFT_MEM,
	DRAFT_VMSTATE,
	DRAFT_DIFF, /* once sealed */
	DRAFT_FILES,
};

bool drafts_seen(struct drafts *drafts, uint64_t id, enum draft_part which, uint64_t version,
		 uint64_t *ret_losses);
void drafts_set_seen(struct drafts *drafts, uint64_t id, enum draft_part which, uint64_t version,
		     uint64_t losses);
void drafts_lost(struct drafts *drafts, uint64_t id, enum draft_part which);

#endif
