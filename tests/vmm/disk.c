/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/disk.h"

#include <string.h>

#include "tests/vmm/memory.h"

#define REPEATED_BLOCKS 16
#define REPEATED_SHARE 4 /* one of so many */

/* The next number of a splitmix64 generator. */
static uint64_t next(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

bool disk_read(const struct disk *disk, uint64_t block, unsigned char *page)
{
	uint64_t kind_state = disk->seed + (block << 20);
	uint64_t data_state;

	if (next(&kind_state) % 100 >= disk->data_percent)
		return false;
	data_state = disk->seed ^ (block << 20);
	if (next(&kind_state) % REPEATED_SHARE == 0)
		data_state = disk->seed + next(&kind_state) % REPEATED_BLOCKS;
	for (size_t at = 0; at < MEMORY_PAGE; at += sizeof(uint64_t)) {
		uint64_t word = next(&data_state);

		memcpy(page + at, &word, sizeof(word));
	}
	return true;
}
