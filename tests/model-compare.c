/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/model.h"

bool page_is_zero(const char *page)
{
	static const char zero[PAGE_BYTES];

	return memcmp(page, zero, PAGE_BYTES) == 0;
}

void read_at(int fd, char *to, size_t len, size_t off, const char *what)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, to + done, len - done, (off_t)(off + done));

		if (n <= 0)
			fail("reading %s at %zu: %s", what, off + done,
			     n < 0 ? strerror(errno) : "it ends");
		done += (size_t)n;
	}
}

static int open_file(const struct snap *snap, const char *file)
{
	char path[512];
	struct stat st;
	int fd;

	snap_path(snap, file, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		fail("%s: %s", path, strerror(errno));
	if ((size_t)st.st_size != snap->npages * PAGE_BYTES)
		fail("%s: %zu bytes instead of %zu", path, (size_t)st.st_size,
		     snap->npages * PAGE_BYTES);
	return fd;
}

/* In pieces of any size, in any order, or through a map. */
static void read_all(int fd, char *to, size_t len, const char *what, bool shared)
{
	size_t piece = 1 + pick(200000);
	char *map;

	if (pick(4) > 0) {
		bool backwards = pick(4) == 0;
		size_t n = (len + piece - 1) / piece;

		for (size_t i = 0; i < n; i++) {
			size_t off = (backwards ? n - 1 - i : i) * piece;

			read_at(fd, to + off, MIN(piece, len - off), off, what);
		}
		return;
	}
	map = mmap(NULL, len, PROT_READ, shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		fail("mapping %s: %s", what, strerror(errno));
	memcpy(to, map, len);
	munmap(map, len);
}

/* What must be data and what a hole, by page. */
typedef int want_data(const struct snap *snap, size_t pgno); /* -1: either */

static int mem_is_data(const struct snap *snap, size_t pgno)
{
	return !page_is_zero(snap->bytes + pgno * PAGE_BYTES);
}

static int diff_is_data(const struct snap *snap, size_t pgno)
{
	return snap->layer[pgno] == LAYER_EITHER ? -1 : snap->layer[pgno] == LAYER_HELD;
}

static void compare_map(const struct snap *snap, int fd, const char *file, want_data *want)
{
	off_t end = (off_t)(snap->npages * PAGE_BYTES);
	off_t at = 0;
	bool data = false;

	while (at < end) {
		off_t next = lseek(fd, at, data ? SEEK_HOLE : SEEK_DATA);

		if (next < 0 && errno == ENXIO && !data)
			next = end;
		if (next < at || next > end || (next % (off_t)PAGE_BYTES && next != end))
			fail("%s/%s: lseek from %lld to %s gives %lld: %s", snap->name, file,
			     (long long)at, data ? "a hole" : "data", (long long)next,
			     next < 0 ? strerror(errno) : "no place for it");
		for (size_t pgno = (size_t)at / PAGE_BYTES; pgno < (size_t)next / PAGE_BYTES;
		     pgno++)
			if (want(snap, pgno) == !data)
				fail("%s/%s: page %zu is %s", snap->name, file, pgno,
				     data ? "data, not a hole" : "a hole, not data");
		data = !data;
		at = next;
	}
}

static void compare_bytes(const struct snap *snap, const char *file, const char *found,
			  const char *wanted)
{
	for (size_t pgno = 0; pgno < snap->npages; pgno++) {
		size_t at = pgno * PAGE_BYTES;

		for (size_t i = 0; memcmp(found + at, wanted + at, PAGE_BYTES) != 0; i++)
			if (found[at + i] != wanted[at + i])
				fail("%s/%s: page %zu differs from byte %zu on: %02x instead of "
				     "%02x",
				     snap->name, file, pgno, i, (unsigned char)found[at + i],
				     (unsigned char)wanted[at + i]);
	}
}

void compare_mem(const struct snap *snap)
{
	size_t len = snap->npages * PAGE_BYTES;
	char *found = malloc(len);
	int fd = open_file(snap, "mem");

	read_all(fd, found, len, "mem", pick(2));
	compare_bytes(snap, "mem", found, snap->bytes);
	if (!snap->dirty)
		compare_map(snap, fd, "mem", mem_is_data);
	close(fd);
	free(found);
}

void compare_diff(const struct snap *snap)
{
	size_t len = snap->npages * PAGE_BYTES;
	char *found;
	char *wanted;
	int fd;

	if (snap->dirty)
		return;
	found = malloc(len);
	wanted = malloc(len);
	fd = open_file(snap, "diff");
	memcpy(wanted, snap->bytes, len);
	/* of a draft it is direct_io, and has no shared maps */
	read_all(fd, found, len, "diff", !snap->is_draft && pick(2));
	for (size_t pgno = 0; pgno < snap->npages; pgno++) {
		char *page = wanted + pgno * PAGE_BYTES;

		if (snap->layer[pgno] == LAYER_ABSENT ||
		    (snap->layer[pgno] == LAYER_EITHER && page_is_zero(found + pgno * PAGE_BYTES)))
			memset(page, 0, PAGE_BYTES);
	}
	compare_bytes(snap, "diff", found, wanted);
	compare_map(snap, fd, "diff", diff_is_data);
	close(fd);
	free(wanted);
	free(found);
}

void compare_all(void)
{
	for (size_t i = 0; i < SNAPSHOTS_MAX; i++)
		if (model.snaps[i].name[0]) {
			compare_mem(&model.snaps[i]);
			compare_diff(&model.snaps[i]);
		}
}
