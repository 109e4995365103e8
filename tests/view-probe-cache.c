/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's cache: what one reader has read is there for the next.
 */
#include "config.h"

#include "tests/view-probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* How many pages of the file the kernel has in memory. */
static size_t cached_pages(int fd)
{
	uint64_t size = size_of(fd);
	size_t npages = (size_t)((size + PAGE - 1) / PAGE);
	unsigned char *resident = malloc(npages);
	void *map = must_map(fd, size, PROT_READ, MAP_SHARED);
	size_t count = 0;

	if (!resident || mincore(map, size, resident) < 0)
		die("mincore: %s", strerror(errno));
	for (size_t i = 0; i < npages; i++)
		count += resident[i] & 1;
	munmap(map, size);
	free(resident);
	return count;
}

static void expect_cached(const char *after, int fd, size_t want)
{
	size_t got = cached_pages(fd);

	if (got != want)
		die("%zu of %zu pages are cached after %s", got, want, after);
}

/* ---- cached FILE: who opens it for writing takes nothing from the readers ---- */

int probe_cached(char **argv)
{
	int reader = must_open(argv[0], O_RDONLY);
	uint64_t size = size_of(reader);
	char *buf = malloc(size);
	size_t want;
	int both;

	if (!buf || pread(reader, buf, size, 0) != (ssize_t)size)
		die("pread: %s", strerror(errno));
	want = cached_pages(reader);
	if (want != size / PAGE)
		die("%zu pages are cached of %ju bytes that were read", want, (uintmax_t)size);
	both = must_open(argv[0], O_RDWR);
	expect_cached("an open for writing", reader, want);
	if (pread(both, buf, size, 0) != (ssize_t)size)
		die("pread: %s", strerror(errno));
	expect_cached("a read by that handle", reader, want);
	close(both);
	expect_cached("its close", reader, want);
	free(buf);
	return 0;
}
