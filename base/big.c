/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/big.h"

#include <stdint.h>
#include <sys/mman.h>

#define HUGE_BYTES ((size_t)2 << 20)

/* Whole huge pages. */
static size_t room_for(size_t size)
{
	return (size + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
}

void *big_new(size_t size)
{
	size_t room = room_for(size);
	char *all = mmap(NULL, room + HUGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (all == MAP_FAILED)
		return NULL;
	before = (HUGE_BYTES - (uintptr_t)all % HUGE_BYTES) % HUGE_BYTES;
	if (before > 0)
		munmap(all, before);
	munmap(all + before + room, HUGE_BYTES - before);
	/* refused it is memory like any other */
	(void)!madvise(all + before, room, MADV_HUGEPAGE);
	return all + before;
}

void big_free(void *memory, size_t size)
{
	if (memory)
		munmap(memory, room_for(size));
}
