/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem and vmstate of a draft, as files: what file.c does with them.
 *
 * The size of mem is fixed, that of vmstate is not. Any thread; calls take the pages
 * of the calling one. 0 or -errno with words.
 */
#ifndef PAGODA_FUSEFS_DRAFT_FILE_H
#define PAGODA_FUSEFS_DRAFT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/draft.h"
#include "db/draft-seen.h"

/* One of the two. */
struct draft_file {
	struct draft *draft; /* owned: a handle of it; NULL: none */
	enum draft_part which;
	bool writer;
};

uint64_t draft_file_size(const struct draft_file *file);

/* Reads up to the end of the file. */
int draft_file_read(const struct draft_file *file, struct pages *pages, uint64_t off, void *buf,
		    size_t len, size_t *ret_len) MUST_CHECK;

int draft_file_seek(const struct draft_file *file, uint64_t off, bool data,
		    uint64_t *ret_off) MUST_CHECK;

/* Writes; *ret_len is below len only where mem ends. -EFBIG behind the end, -EAGAIN
 * where something must be stored before: see drafts_make_room. */
int draft_file_write(const struct draft_file *file, struct pages *pages, uint64_t off, bool append,
		     const void *buf, size_t len, size_t *ret_len) MUST_CHECK;

/* Of mem: 0 makes every page zero and keeps the size, its own size does nothing, any
 * other is -EPERM. */
int draft_file_truncate(const struct draft_file *file, uint64_t size) MUST_CHECK;

/* Makes a range zero, as much of it as lies inside the file. -EAGAIN as above. */
int draft_file_zero(const struct draft_file *file, struct pages *pages, uint64_t off,
		    uint64_t len) MUST_CHECK;

#endif
