/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fail.h"

#define MAP_KINDS (MAP_PRIVATE | MAP_NORESERVE)

static int layout_check(uint64_t size, uint64_t split)
{
	if (size % MEMORY_PAGE || size < MEMORY_LEAST || size > MEMORY_MOST)
		return fail_with(-EINVAL,
				 "%" PRIu64 " bytes of memory: not a multiple of 4096 from 1 MiB "
				 "to 32 GiB",
				 size);
	if (split == 0 || split % MEMORY_SPLIT_UNIT || split > MEMORY_SPLIT_MOST)
		return fail_with(-EINVAL,
				 "memory split at %" PRIu64 ": not a multiple of 2 MiB up to 3 GiB",
				 split);
	return 0;
}

static void layout(struct memory *memory)
{
	uint64_t low = MIN(memory->size, memory->split);

	memory->regions[memory->nregions++] = (struct memory_region){.size = low};
	if (low < memory->size)
		memory->regions[memory->nregions++] = (struct memory_region){
			.gpa = MEMORY_HIGH, .off = low, .size = memory->size - low};
}

/* Opens the file, which must be exactly as long as the memory. */
static int open_file(const char *file, uint64_t size)
{
	AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_with(-errno, "cannot open the memory file %s: %s", file,
				 strerror(errno));
	if ((uint64_t)st.st_size != size)
		return fail_with(-EINVAL,
				 "the memory file %s has %jd bytes, the machine has %" PRIu64, file,
				 (intmax_t)st.st_size, size);
	return TAKE_FD(fd);
}

static int map_regions(struct memory *memory, int fd)
{
	for (size_t i = 0; i < memory->nregions; i++) {
		struct memory_region *region = &memory->regions[i];
		void *base = mmap(NULL, region->size, PROT_READ | PROT_WRITE,
				  MAP_KINDS | (fd < 0 ? MAP_ANONYMOUS : 0), fd, (off_t)region->off);

		if (base == MAP_FAILED)
			return fail_with(-errno, "cannot map the memory: %s", strerror(errno));
		region->base = base;
	}
	return 0;
}

int memory_init(struct memory *memory, uint64_t size, uint64_t split, const char *file)
{
	AUTO_CLOSE int fd = -1;
	int r = layout_check(size, split);

	*memory = (struct memory){.size = size, .split = split, .of_file = file};
	if (r < 0)
		return r;
	layout(memory);
	if (file) {
		fd = open_file(file, size);
		if (fd < 0)
			return fd;
	}
	r = map_regions(memory, fd);
	if (r < 0)
		memory_done(memory);
	return r;
}

void memory_done(struct memory *memory)
{
	for (size_t i = 0; i < memory->nregions; i++)
		if (memory->regions[i].base)
			munmap(memory->regions[i].base, memory->regions[i].size);
	*memory = (struct memory){0};
}

static const struct memory_region *region_of(const struct memory *memory, uint64_t off)
{
	return &memory->regions[off >= memory->regions[0].size];
}

unsigned char *memory_page(const struct memory *memory, uint64_t pgno)
{
	const struct memory_region *region = region_of(memory, pgno * MEMORY_PAGE);

	return region->base + (pgno * MEMORY_PAGE - region->off);
}

uint64_t memory_gpa(const struct memory *memory, uint64_t off)
{
	const struct memory_region *region = region_of(memory, off);

	return region->gpa + (off - region->off);
}

/* A hole of a private file would show the file again, so it is mapped over. */
static int remove_run(const struct memory *memory, void *from, size_t len)
{
	if (!memory->of_file)
		return madvise(from, len, MADV_DONTNEED) < 0 ? -errno : 0;
	if (mmap(from, len, PROT_READ | PROT_WRITE, MAP_KINDS | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		return -errno;
	return 0;
}

int memory_remove(const struct memory *memory, uint64_t pgno, uint64_t count)
{
	while (count > 0) {
		uint64_t off = pgno * MEMORY_PAGE;
		const struct memory_region *region = region_of(memory, off);
		uint64_t len = MIN(count * MEMORY_PAGE, region->off + region->size - off);
		int r = remove_run(memory, memory_page(memory, pgno), len);

		if (r < 0)
			return fail_with(r,
					 "cannot give %" PRIu64 " pages from %" PRIu64 " back: %s",
					 len / MEMORY_PAGE, pgno, strerror(-r));
		pgno += len / MEMORY_PAGE;
		count -= len / MEMORY_PAGE;
	}
	return 0;
}

bool memory_is_zero(const unsigned char *page)
{
	static const unsigned char zero[MEMORY_PAGE];

	return memcmp(page, zero, MEMORY_PAGE) == 0;
}
