/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the VMM that need no KVM: memory, history, images, disk. */
#include "config.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit.h"
#include "tests/vmm/disk.h"
#include "tests/vmm/history.h"
#include "tests/vmm/image.h"
#include "tests/vmm/memory.h"

#define MIB (UINT64_C(1) << 20)
#define SIZE (3 * MIB)
#define SPLIT (2 * MIB)
#define SPLIT_PAGE (SPLIT / MEMORY_PAGE)

/* A file of its own, which is gone when the test ends. */
static char path[32];

static int make_file(void)
{
	int fd;

	strcpy(path, "/tmp/check-vmm.XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static unsigned char byte_of(int fd, uint64_t pgno)
{
	unsigned char byte;

	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)(pgno * MEMORY_PAGE)), 1);
	return byte;
}

static bool is_data(int fd, uint64_t pgno)
{
	off_t at = (off_t)(pgno * MEMORY_PAGE);

	return lseek(fd, at, SEEK_DATA) == at;
}

START_TEST(memory_lies_around_the_hole)
{
	struct memory memory;

	ck_assert_int_eq(memory_init(&memory, SIZE, SPLIT, NULL), 0);
	ck_assert_uint_eq(memory.nregions, 2);
	ck_assert_uint_eq(memory_gpa(&memory, SPLIT - 1), SPLIT - 1);
	ck_assert_uint_eq(memory_gpa(&memory, SPLIT), MEMORY_HIGH);
	ck_assert_ptr_eq(memory_page(&memory, SPLIT_PAGE), memory.regions[1].base);
	memory_done(&memory);

	ck_assert_int_eq(memory_init(&memory, SPLIT, SPLIT, NULL), 0);
	ck_assert_uint_eq(memory.nregions, 1);
	memory_done(&memory);
}
END_TEST

START_TEST(memory_removed_is_zero_in_both_regions)
{
	AUTO_CLOSE int fd = make_file();
	struct memory memory;

	ck_assert_int_eq(ftruncate(fd, SIZE), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, SPLIT - MEMORY_PAGE), 1);
	ck_assert_int_eq(memory_init(&memory, SIZE, SPLIT, path), 0);
	unlink(path);
	*memory_page(&memory, SPLIT_PAGE) = 'y';
	*memory_page(&memory, SPLIT_PAGE + 1) = 'z';
	ck_assert_int_eq(*memory_page(&memory, SPLIT_PAGE - 1), 'x');
	ck_assert_int_eq(memory_remove(&memory, SPLIT_PAGE - 1, 2), 0);
	ck_assert(memory_is_zero(memory_page(&memory, SPLIT_PAGE - 1)));
	ck_assert(memory_is_zero(memory_page(&memory, SPLIT_PAGE)));
	ck_assert_int_eq(*memory_page(&memory, SPLIT_PAGE + 1), 'z');
	memory_done(&memory);
}
END_TEST

START_TEST(history_keeps_three_bits)
{
	struct history history;

	ck_assert_int_eq(history_init(&history, 130), 0);
	history_add_log(&history, 64, 5);
	history_remove(&history, 66, 64);
	ck_assert(history_is_written(&history, 64));
	ck_assert(!history_is_written(&history, 65));
	ck_assert(!history_is_written(&history, 66));
	ck_assert(history_is_removed(&history, 66) && history_is_removed(&history, 129));
	ck_assert(!history_is_removed(&history, 64));
	history_write(&history, 129);
	ck_assert(history_is_written(&history, 129) && !history_is_removed(&history, 129));
	history_settle(&history);
	ck_assert(!history_is_changed(&history, 64) && !history_is_changed(&history, 66));
	ck_assert(history_is_written(&history, 64) && history_is_removed(&history, 66));
	history_done(&history);
}
END_TEST

/* data = changed, zero or not; hole = unchanged */
START_TEST(diff_has_what_changed)
{
	AUTO_CLOSE int fd = make_file();
	struct memory memory;
	struct history history;
	const uint64_t changed[] = {3, 4, SPLIT_PAGE - 1, SPLIT_PAGE, SIZE / MEMORY_PAGE - 1};
	size_t next = 0;

	ck_assert_int_eq(memory_init(&memory, SIZE, SPLIT, NULL), 0);
	ck_assert_int_eq(history_init(&history, SIZE / MEMORY_PAGE), 0);
	*memory_page(&memory, 1) = 'u';
	*memory_page(&memory, 3) = 'x';
	*memory_page(&memory, SPLIT_PAGE) = 'y';
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
		history_write(&history, changed[i]);
	ck_assert_int_eq(image_write_diff(path, &memory, &history), 0);
	for (uint64_t pgno = 0; pgno < history.pages; pgno++) {
		bool want = next < ARRAY_SIZE(changed) && changed[next] == pgno;

		ck_assert_msg(is_data(fd, pgno) == want, "page %d", (int)pgno);
		next += want;
	}
	ck_assert_int_eq(byte_of(fd, 3), 'x');
	ck_assert_int_eq(byte_of(fd, SPLIT_PAGE), 'y');
	unlink(path);
	history_done(&history);
	memory_done(&memory);
}
END_TEST

START_TEST(diff_goes_into_a_file_of_the_size)
{
	AUTO_CLOSE int fd = make_file();
	struct memory memory;
	struct history history;

	ck_assert_int_eq(memory_init(&memory, SIZE, SPLIT, NULL), 0);
	ck_assert_int_eq(history_init(&history, SIZE / MEMORY_PAGE), 0);
	ck_assert_int_eq(ftruncate(fd, SIZE), 0);
	ck_assert_int_eq(pwrite(fd, "kept", 4, 0), 4);
	ck_assert_int_eq(pwrite(fd, "zeroed", 6, MEMORY_PAGE), 6);
	history_write(&history, 1);
	ck_assert_int_eq(image_write_diff(path, &memory, &history), 0);
	ck_assert_int_eq(byte_of(fd, 0), 'k');
	ck_assert_int_eq(byte_of(fd, 1), 0);
	unlink(path);
	history_done(&history);
	memory_done(&memory);
}
END_TEST

START_TEST(compare_tells_pages_apart)
{
	AUTO_CLOSE int fd = make_file();
	struct memory memory;
	struct history history;
	struct image_counts counts;

	ck_assert_int_eq(memory_init(&memory, SIZE, SPLIT, NULL), 0);
	ck_assert_int_eq(history_init(&history, SIZE / MEMORY_PAGE), 0);
	ck_assert_int_eq(image_write_full(path, &memory), 0);
	*memory_page(&memory, 7) = 'x';
	ck_assert_int_eq(image_compare(path, &memory, &history, &counts), -EBADMSG);
	history_write(&history, 7);
	history_remove(&history, SPLIT_PAGE, 2);
	ck_assert_int_eq(image_compare(path, &memory, &history, &counts), 0);
	ck_assert_uint_eq(counts.written, 1);
	ck_assert_uint_eq(counts.removed, 2);
	ck_assert_uint_eq(counts.same, SIZE / MEMORY_PAGE - 3);
	*memory_page(&memory, SPLIT_PAGE) = 'x';
	ck_assert_int_eq(image_compare(path, &memory, &history, &counts), -EBADMSG);
	unlink(path);
	history_done(&history);
	memory_done(&memory);
}
END_TEST

/* zero, one of 16, or unique: 60 % data, a quarter of it repeated */
START_TEST(disk_has_the_stated_mix)
{
	const struct disk disk = {.seed = 9, .data_percent = 60};
	static uint64_t words[4000];
	size_t data = 0;
	size_t repeated = 0;

	for (uint64_t block = 0; block < ARRAY_SIZE(words); block++) {
		uint64_t page[MEMORY_PAGE / 8] = {0};

		if (disk_read(&disk, block, (unsigned char *)page))
			words[data++] = page[0];
	}
	for (size_t i = 0; i < data; i++) {
		bool found = false;

		for (size_t k = 0; k < data && !found; k++)
			found = k != i && words[k] == words[i];
		repeated += found;
	}
	ck_assert_uint_gt(data, 2200);
	ck_assert_uint_lt(data, 2600);
	ck_assert_uint_gt(repeated, data / 5);
	ck_assert_uint_lt(repeated, data / 3);
}
END_TEST

UNIT_MAIN("vmm", memory_lies_around_the_hole, memory_removed_is_zero_in_both_regions,
	  history_keeps_three_bits, diff_has_what_changed, diff_goes_into_a_file_of_the_size,
	  compare_tells_pages_apart, disk_has_the_stated_mix)
