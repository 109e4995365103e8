/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"

static int failed(int err, const char *what, const char *path)
{
	return fail_with(err, "cannot %s the memory file %s: %s", what, path, strerror(-err));
}

/* Whether a page belongs into the file; without a history, all but zero pages do. */
static bool wanted(const struct memory *memory, const struct history *history, uint64_t pgno)
{
	if (history)
		return history_is_changed(history, pgno);
	return !memory_is_zero(memory_page(memory, pgno));
}

/* The first page from pgno on, up to end, that is wanted or not wanted. */
static uint64_t find(const struct memory *memory, const struct history *history, uint64_t pgno,
		     uint64_t end, bool want)
{
	while (pgno < end && wanted(memory, history, pgno) != want)
		pgno++;
	return pgno;
}

static int write_region(int fd, const struct memory *memory, const struct history *history,
			const struct memory_region *region)
{
	uint64_t pgno = region->off / MEMORY_PAGE;
	uint64_t end = pgno + region->size / MEMORY_PAGE;

	while ((pgno = find(memory, history, pgno, end, true)) < end) {
		uint64_t run_end = find(memory, history, pgno, end, false);
		int r;

		if (lseek(fd, (off_t)(pgno * MEMORY_PAGE), SEEK_SET) < 0)
			return -errno;
		r = io_write_full(fd, memory_page(memory, pgno), (run_end - pgno) * MEMORY_PAGE);
		if (r < 0)
			return r;
		pgno = run_end;
	}
	return 0;
}

static int write_regions(int fd, const struct memory *memory, const struct history *history)
{
	for (size_t i = 0; i < memory->nregions; i++) {
		int r = write_region(fd, memory, history, &memory->regions[i]);

		if (r < 0)
			return r;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int image_write_full(const char *path, const struct memory *memory)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r;

	if (fd < 0 || ftruncate(fd, (off_t)memory->size) < 0)
		return failed(-errno, "make", path);
	r = write_regions(fd, memory, NULL);
	return r < 0 ? failed(r, "write", path) : 0;
}

/* Leaves a file of the right size alone, and empties any other. */
static int set_size(int fd, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size == size)
		return 0;
	return ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

int image_write_diff(const char *path, const struct memory *memory, const struct history *history)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return failed(-errno, "make", path);
	r = set_size(fd, memory->size);
	if (r == 0)
		r = write_regions(fd, memory, history);
	return r < 0 ? failed(r, "write", path) : 0;
}

static int compare_page(const char *path, const struct memory *memory,
			const struct history *history, uint64_t pgno, const unsigned char *in_file,
			struct image_counts *counts)
{
	const unsigned char *page = memory_page(memory, pgno);

	if (history_is_written(history, pgno)) {
		counts->written++;
	} else if (history_is_removed(history, pgno)) {
		if (!memory_is_zero(page))
			return fail_with(-EBADMSG,
					 "page %" PRIu64 " was given back and is not zero", pgno);
		counts->removed++;
	} else {
		if (memcmp(page, in_file, MEMORY_PAGE) != 0)
			return fail_with(-EBADMSG, "page %" PRIu64 " is not as in %s", pgno, path);
		counts->same++;
	}
	return 0;
}

int image_compare(const char *path, const struct memory *memory, const struct history *history,
		  struct image_counts *ret)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct image_counts counts = {0};

	if (fd < 0)
		return failed(-errno, "open", path);
	for (uint64_t pgno = 0; pgno < memory->size / MEMORY_PAGE; pgno++) {
		unsigned char in_file[MEMORY_PAGE];
		ssize_t n = io_pread_full(fd, in_file, sizeof(in_file), pgno * MEMORY_PAGE);
		int r;

		if (n != sizeof(in_file))
			return failed(n < 0 ? (int)n : -ENODATA, "read", path);
		r = compare_page(path, memory, history, pgno, in_file, &counts);
		if (r < 0)
			return r;
	}
	*ret = counts;
	return 0;
}
