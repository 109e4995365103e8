/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/scenario-images.h"

#include "tests/store-fixture.h"

#define SMALL_PAGES 150
#define LARGE_PAGES 1400 /* several steps of an import, with tests/libdb-small.a */

static char *images[IMAGES];
static int image_files[IMAGES];
static int diff_file; /* GRAND over CHILD */
static const uint64_t image_pages[IMAGES] = {
	[IMAGE_A] = SMALL_PAGES,    [IMAGE_B] = SMALL_PAGES,	   [IMAGE_LARGE] = LARGE_PAGES,
	[IMAGE_PROOF] = 8,	    [IMAGE_CHILD] = SMALL_PAGES,   [IMAGE_GRAND] = SMALL_PAGES,
	[IMAGE_PART] = SMALL_PAGES, [IMAGE_WRITTEN] = SMALL_PAGES, [IMAGE_REWRITTEN] = SMALL_PAGES,
};

static char *page_of(enum image image, uint64_t pgno)
{
	return images[image] + pgno * PAGE_BYTES;
}

const char *scenario_image(enum image image)
{
	return images[image];
}

const char *scenario_page(enum image image, uint64_t pgno)
{
	return page_of(image, pgno);
}

uint64_t scenario_npages(enum image image)
{
	return image_pages[image];
}

int scenario_file(enum image image)
{
	return image_files[image];
}

int scenario_diff(void)
{
	return diff_file;
}

/* What GRAND changes: every 7th page, half of them to zeros; some stay as they are. */
static void make_grand(void)
{
	memcpy(images[IMAGE_GRAND], images[IMAGE_CHILD], SMALL_PAGES * PAGE_BYTES);
	diff_file = memfd_create("diff", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(diff_file, SMALL_PAGES * PAGE_BYTES), 0);
	for (uint64_t pgno = 0; pgno < SMALL_PAGES; pgno += 7) {
		char *page = page_of(IMAGE_GRAND, pgno);

		if (pgno % 2)
			memset(page, 0, PAGE_BYTES);
		else if (pgno % 4)
			memcpy(page, page_of(IMAGE_LARGE, pgno), PAGE_BYTES);
		ck_assert_int_eq(pwrite(diff_file, page, PAGE_BYTES, (off_t)(pgno * PAGE_BYTES)),
				 PAGE_BYTES);
	}
}

/* Some bytes over a border of pages, and a page of zeros; then many pages, among them
 * some of the former. */
static void make_written(void)
{
	memcpy(images[IMAGE_WRITTEN], images[IMAGE_A], SMALL_PAGES * PAGE_BYTES);
	memset(page_of(IMAGE_WRITTEN, 8) - 50, 'w', 100);
	memset(page_of(IMAGE_WRITTEN, 30), 0, PAGE_BYTES);
	memcpy(images[IMAGE_REWRITTEN], images[IMAGE_WRITTEN], SMALL_PAGES * PAGE_BYTES);
	memcpy(page_of(IMAGE_REWRITTEN, 5), page_of(IMAGE_B, 20), 120 * PAGE_BYTES);
}

void scenario_images_make(void)
{
	for (size_t i = 0; i < IMAGES; i++)
		images[i] = fixture_image(image_pages[i], 50 + (unsigned int)i);
	memcpy(page_of(IMAGE_B, 40), page_of(IMAGE_A, 40), 50 * PAGE_BYTES);
	memcpy(page_of(IMAGE_CHILD, 0), page_of(IMAGE_A, 0), 100 * PAGE_BYTES);
	memset(page_of(IMAGE_CHILD, 20), 0, 5 * PAGE_BYTES);
	memcpy(page_of(IMAGE_PART, 30), page_of(IMAGE_LARGE, 0), 60 * PAGE_BYTES);
	make_grand();
	make_written();
	for (size_t i = 0; i < IMAGES; i++)
		image_files[i] = fixture_file(images[i], image_pages[i], true);
}
