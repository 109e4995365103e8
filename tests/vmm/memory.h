/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of the machine: one or two regions, mapped apart, as a VMM has them
 * around the hole below 4 GiB. A memory file holds them one after the other, and
 * pages are counted in its order.
 *
 * A struct memory does not change once made; memory_remove() may be called while
 * another thread uses other pages. What can fail returns 0 or -errno with words.
 */
#ifndef PAGODA_TESTS_VMM_MEMORY_H
#define PAGODA_TESTS_VMM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define MEMORY_PAGE 4096U
#define MEMORY_LEAST (UINT64_C(1) << 20)
#define MEMORY_MOST (UINT64_C(32) << 30)
#define MEMORY_SPLIT_UNIT (UINT64_C(2) << 20)
#define MEMORY_SPLIT_MOST (UINT64_C(3) << 30)
#define MEMORY_HIGH (UINT64_C(4) << 30) /* physical address of the second region */

struct memory_region {
	uint64_t gpa; /* physical address in the guest */
	uint64_t off; /* in the memory file */
	uint64_t size;
	unsigned char *base; /* owned mapping */
};

struct memory {
	uint64_t size;
	uint64_t split; /* bytes in the first region, if there are more */
	bool of_file;
	size_t nregions;
	struct memory_region regions[2];
};

/* Maps size bytes; those from split on lie at MEMORY_HIGH. Without a file (NULL)
 * the memory is anonymous and zero; else it is a private map of that file, which
 * must have exactly this size. -EINVAL, or what open(2) and mmap(2) say. */
int memory_init(struct memory *memory, uint64_t size, uint64_t split, const char *file) MUST_CHECK;

/* Memory that is all zero bytes, or was never made, is done as well. */
void memory_done(struct memory *memory);

/* The page, in this process. */
unsigned char *memory_page(const struct memory *memory, uint64_t pgno);

/* The physical address in the guest of a byte of the memory file. */
uint64_t memory_gpa(const struct memory *memory, uint64_t off);

/* Gives count pages back to the host: they read as zero from then on. */
int memory_remove(const struct memory *memory, uint64_t pgno, uint64_t count) MUST_CHECK;

/* Whether a page holds only zero bytes. */
bool memory_is_zero(const unsigned char *page);

#endif
