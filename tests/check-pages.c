/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading pages: whoever reads is told before it waits for the disk, and only then.
 */
#include "config.h"

#include "db/pack-cache.h"
#include "db/pages.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define NPAGES 64 /* in one group of rows, or two */

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

/* Takes the pack out of the page cache; false on a file system that is one. */
static bool evict_pack(void)
{
	char path[128];
	unsigned char there = 1;
	void *map;
	int fd;

	snprintf(path, sizeof(path), "%s/packs/1.pack", fixture_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fdatasync(fd), 0);
	ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	map = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(mincore(map, PAGE_BYTES, &there), 0);
	munmap(map, PAGE_BYTES);
	close(fd);
	return !(there & 1);
}

START_TEST(the_disk_is_a_wait)
{
	setup();
	(void)waits_of_a_read();
	if (evict_pack()) {
		ck_assert_int_ge(waits_of_a_read(), 1);
		ck_assert_int_eq(waits_of_a_read(), 0);
	}
	teardown();
}
END_TEST

UNIT_MAIN("pages", what_is_not_in_memory_yet_is_a_wait, the_disk_is_a_wait)
