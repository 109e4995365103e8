/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an image is cut into windows.
 */
#include "config.h"

#include "db/image.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define NPAGES 5000

static bool is_data[NPAGES];

/* Every page says its number; where there is none is a hole. */
static int file_of_pages(void)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, (off_t)(NPAGES * PAGE_BYTES)), 0);
	for (uint64_t i = 0; i < NPAGES; i++)
		if (is_data[i])
			ck_assert_int_eq(pwrite(fd, &i, sizeof(i), (off_t)(i * PAGE_BYTES)),
					 sizeof(i));
	return fd;
}

/* Walks the windows; returns how many have data. */
static uint64_t walk(int fd, bool is_diff)
{
	AUTO(image_close_at) struct image *image = NULL;
	struct image_rules rules = {.is_diff = is_diff};
	struct image_window window;
	AUTO_FREE char *plain = malloc(WINDOW_PAGES * PAGE_BYTES);
	uint64_t pgno = 0;
	uint64_t with_data = 0;

	CK_OK(image_open(fd, "image", &rules, &image));
	for (uint64_t sequence = 0;; sequence++) {
		CK_OK(image_next(image, &window, plain));
		if (window.npages == 0)
			break;
		ck_assert_uint_eq(window.sequence, sequence);
		ck_assert_uint_eq(window.first, pgno);
		ck_assert(window.is_diff == is_diff);
		ck_assert(window.hole || window.npages <= WINDOW_PAGES);
		CK_OK(image_read(image, &window, plain));
		for (size_t i = 0; i < window.npages; i++, pgno++) {
			bool hole = window.hole || image_window_has_hole(&window, i);

			ck_assert_int_eq(hole, !is_data[pgno]);
			if (!hole)
				ck_assert_mem_eq(plain + i * PAGE_BYTES, &pgno, sizeof(pgno));
		}
		with_data += !window.hole;
	}
	ck_assert_uint_eq(pgno, NPAGES);
	return with_data;
}

static void check_windows(uint64_t most)
{
	int fd = file_of_pages();

	ck_assert_uint_le(walk(fd, false), most);
	ck_assert_uint_le(walk(fd, true), most);
	close(fd);
}

/* They would cost more than the pages between them. */
START_TEST(short_holes_are_no_windows)
{
	for (uint64_t i = 0; i < NPAGES; i++)
		is_data[i] = i % 2;
	check_windows(NPAGES / WINDOW_PAGES + 1);
}
END_TEST

START_TEST(long_holes_are_windows)
{
	for (uint64_t i = 0; i < NPAGES; i++)
		is_data[i] = i == 1000 || i == 1002 || i == 1003 + WINDOW_PAGES;
	check_windows(2);
}
END_TEST

START_TEST(no_page_is_missed)
{
	for (unsigned int seed = 0; seed < 20; seed++) {
		unsigned int random = seed;
		uint64_t i = 0;

		while (i < NPAGES) {
			uint64_t end = i + 1 + (uint64_t)rand_r(&random) % (2 * WINDOW_PAGES);
			bool data = rand_r(&random) % 2;
			bool mixed = rand_r(&random) % 2;

			for (; i < end && i < NPAGES; i++)
				is_data[i] = mixed ? rand_r(&random) % 3 == 0 : data;
		}
		check_windows(NPAGES);
	}
}
END_TEST

UNIT_MAIN("image", short_holes_are_no_windows, long_holes_are_windows, no_page_is_missed)
