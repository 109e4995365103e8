/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading pages: whoever reads is told before it waits for the disk, and only then.
 */
#include "config.h"

#include <sys/stat.h>

#include "db/pack-cache.h"
#include "db/pages.h"
#include "db/read-ahead.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define NPAGES 64	/* in one group of rows, or two */
#define PAGES_MANY 4096 /* a pack of 16 MiB */
#define PACK_PAGES_MOST (PAGES_MANY + 64)

static char *image;
static struct snapshot *snapshot; /* open: the packs of a closed one are let go of */
static int waits;

static void count_wait(void *arg)
{
	ck_assert_ptr_eq(arg, &waits);
	waits++;
}

/* Reads all of it and says how often that was about to wait. */
static int waits_of_a_read(void)
{
	static char found[NPAGES * PAGE_BYTES];

	waits = 0;
	CK_OK(snapshot_read(snapshot, fixture_pages, MAP_MEM, 0, found, sizeof(found)));
	ck_assert(memcmp(found, image, sizeof(found)) == 0);
	return waits;
}

static void setup(void)
{
	struct snapshot_row row;

	fixture_setup();
	image = fixture_image(NPAGES, 3);
	row = fixture_import("a", image, NPAGES);
	fixture_close();
	fixture_open();
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot));
	index_on_wait(fixture_index, count_wait, &waits);
}

static void teardown(void)
{
	snapshot_close(snapshot);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}

START_TEST(what_is_not_in_memory_yet_is_a_wait)
{
	setup();
	ck_assert_int_ge(waits_of_a_read(), 2); /* for rows, and to open the pack */
	ck_assert_int_eq(waits_of_a_read(), 0);
	pack_cache_trim(fixture_store, true);
	ck_assert_int_eq(waits_of_a_read(), 1);
	index_on_wait(fixture_index, NULL, NULL);
	pack_cache_trim(fixture_store, true);
	ck_assert_int_eq(waits_of_a_read(), 0); /* nobody wants to know */
	teardown();
}
END_TEST

/* Where the last page of the pack that is in the page cache ends. */
static size_t cached_until(int fd)
{
	static unsigned char there[PACK_PAGES_MOST];
	struct stat st;
	size_t until = 0;
	size_t pages;
	void *map;

	ck_assert_int_eq(fstat(fd, &st), 0);
	pages = ((size_t)st.st_size + PAGE_BYTES - 1) / PAGE_BYTES;
	ck_assert_uint_le(pages, PACK_PAGES_MOST);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(mincore(map, (size_t)st.st_size, there), 0);
	munmap(map, (size_t)st.st_size);
	for (size_t i = 0; i < pages; i++)
		if (there[i] & 1)
			until = (i + 1) * PAGE_BYTES;
	return until;
}

/* Takes the pack out of the page cache; false, and says so, on a file system that is one. */
static bool evict_pack(int *ret_fd)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/packs/1.pack", fixture_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fdatasync(fd), 0);
	ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	*ret_fd = fd;
	if (cached_until(fd) == 0)
		return true;
	puts("SKIP: what lies in /tmp cannot be taken out of the page cache");
	return false;
}

START_TEST(the_disk_is_a_wait)
{
	int fd;

	setup();
	(void)waits_of_a_read();
	if (evict_pack(&fd)) {
		ck_assert_int_ge(waits_of_a_read(), 1);
		ck_assert_int_eq(waits_of_a_read(), 0);
	}
	close(fd);
	teardown();
}
END_TEST

/* Pages that do not become smaller. */
static char *noise(uint64_t npages)
{
	size_t words = npages * PAGE_BYTES / sizeof(uint32_t);
	char *made = mmap(NULL, npages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t word = 1;

	ck_assert_ptr_ne(made, MAP_FAILED);
	for (size_t i = 0; i < words; i++) {
		word = word * 1664525 + 1013904223;
		memcpy(made + i * sizeof(word), &(uint32_t){word >> 7 ^ word}, sizeof(word));
	}
	return made;
}

/* Whatever the disk's read-ahead is: one of megabytes is more than a small daemon has. */
START_TEST(no_more_is_read_ahead_than_the_bound)
{
	static char found[NPAGES * PAGE_BYTES];
	char *made = noise(PAGES_MANY);
	struct snapshot_row row;
	size_t read = 0;
	int fd;

	fixture_setup();
	row = fixture_import("a", made, PAGES_MANY);
	fixture_close();
	fixture_open();
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot));
	if (evict_pack(&fd)) {
		for (; read < PAGES_MANY * PAGE_BYTES / 8; read += sizeof(found)) {
			CK_OK(snapshot_read(snapshot, fixture_pages, MAP_MEM, read, found,
					    sizeof(found)));
			ck_assert(memcmp(found, made + read, sizeof(found)) == 0);
			ck_assert_uint_le(cached_until(fd),
					  read + sizeof(found) + READ_AHEAD_BYTES + 2 * PAGE_BYTES);
		}
	}
	close(fd);
	snapshot_close(snapshot);
	munmap(made, PAGES_MANY * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

UNIT_MAIN("pages", what_is_not_in_memory_yet_is_a_wait, the_disk_is_a_wait,
	  no_more_is_read_ahead_than_the_bound)
