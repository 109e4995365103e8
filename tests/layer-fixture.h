/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that are changed versions of another, and layers of them. For unit tests, after
 * tests/store-fixture.h.
 */
#ifndef PAGODA_TESTS_LAYER_FIXTURE_H
#define PAGODA_TESTS_LAYER_FIXTURE_H

#include "tests/store-fixture.h"

#define NPAGES 3000
#define BYTES (NPAGES * PAGE_BYTES)

static inline int import_over(const char *name, int fd, const char *parent, bool is_diff,
			      struct snapshot_row *ret)
{
	struct import_request request = {.name = name,
					 .image_fd = fd,
					 .image = "image",
					 .parent = parent,
					 .is_diff = is_diff};
	int r = import_image(fixture_store, &request, ret);

	close(fd);
	return r;
}

static inline bool page_differs(const char *a, const char *b, uint64_t pgno)
{
	return memcmp(a + pgno * PAGE_BYTES, b + pgno * PAGE_BYTES, PAGE_BYTES) != 0;
}

static inline bool is_zero(const char *image, uint64_t pgno)
{
	static const char zero[PAGE_BYTES];

	return memcmp(image + pgno * PAGE_BYTES, zero, PAGE_BYTES) == 0;
}

/* The image with some pages zeroed, filled, moved or changed in a byte. */
static inline char *changed_image(const char *from, unsigned int seed)
{
	char *image = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(image, MAP_FAILED);
	memcpy(image, from, BYTES);
	for (uint64_t pgno = 0; pgno < NPAGES; pgno++) {
		char *page = image + pgno * PAGE_BYTES;

		switch (rand_r(&seed) % 24) {
		case 0:
			memset(page, 0, PAGE_BYTES);
			break;
		case 1:
			fixture_fill_page(page, &seed);
			break;
		case 2: /* of another place: known to the store */
			memcpy(page, from + (uint64_t)(rand_r(&seed) % NPAGES) * PAGE_BYTES,
			       PAGE_BYTES);
			break;
		case 3:
			page[PAGE_BYTES - 1] ^= 1;
			break;
		case 4: /* a stretch of another place */
			for (unsigned int n = 0; n < 40 && pgno + n < NPAGES; n++)
				memcpy(page + n * PAGE_BYTES,
				       from + ((pgno + n + 7) % NPAGES) * PAGE_BYTES, PAGE_BYTES);
			break;
		default:
			break;
		}
	}
	return image;
}

#endif
