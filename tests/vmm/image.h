/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory files: the regions one after the other, without a header. One thread.
 * What can fail returns 0 or -errno with words.
 */
#ifndef PAGODA_TESTS_VMM_IMAGE_H
#define PAGODA_TESTS_VMM_IMAGE_H

#include "base/attributes.h"
#include "tests/vmm/history.h"
#include "tests/vmm/memory.h"

/* All pages; zero pages are left out, as holes. */
int image_write_full(const char *path, const struct memory *memory) MUST_CHECK;

/* The pages that have changed since the last snapshot, zero or not, as Firecracker
 * does: in place where the file has the size of memory, else into an empty file of
 * that size, whose holes then say "unchanged". */
int image_write_diff(const char *path, const struct memory *memory,
		     const struct history *history) MUST_CHECK;

struct image_counts {
	uint64_t same;	  /* equal to the image */
	uint64_t written; /* by the guest: not compared */
	uint64_t removed; /* zero, as they must be */
};

/* Compares memory with the image the machine was restored from. -EBADMSG names the
 * first page that is neither as in the image, nor written, nor removed and zero. */
int image_compare(const char *path, const struct memory *memory, const struct history *history,
		  struct image_counts *ret) MUST_CHECK;

#endif
