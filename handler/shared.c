/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/shared.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

static size_t bytes_for(uint64_t pages)
{
	return sizeof(struct shared) + bitmap_bytes(pages);
}

struct shared *shared_new(uint64_t image_size)
{
	uint64_t pages = image_size / REGIONS_PAGE;
	struct shared *shared = mmap(NULL, bytes_for(pages), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		return NULL;
	/* same address in the worker, which is forked */
	shared->removed = (struct bitmap){.words = shared->removed_words, .bits = pages};
	return shared;
}

void shared_free(struct shared *shared, uint64_t image_size)
{
	if (shared)
		munmap(shared, bytes_for(image_size / REGIONS_PAGE));
}

enum end shared_end(struct shared *shared, enum end end, const char *format, ...)
{
	va_list args;

	if (shared->reason[0])
		return end;
	va_start(args, format);
	vsnprintf(shared->reason, sizeof(shared->reason), format, args);
	va_end(args);
	return end;
}
