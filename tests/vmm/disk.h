/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of the machine: read-only blocks of a page each, made from a seed.
 *
 * Of the blocks, data_percent hold data. A quarter of these are one of 16
 * repeated blocks, the others are pseudo-random and unique. The rest are zero.
 * Pure functions.
 */
#ifndef PAGODA_TESTS_VMM_DISK_H
#define PAGODA_TESTS_VMM_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct disk {
	uint64_t seed;
	uint64_t data_percent; /* 0 to 100 */
};

/* Fills page (MEMORY_PAGE bytes, aligned) unless the block is zero: then the page
 * is left alone and the answer is false. */
bool disk_read(const struct disk *disk, uint64_t block, unsigned char *page);

#endif
