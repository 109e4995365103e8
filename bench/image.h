/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images to measure with: the memory of a real guest where it is at hand, else made
 * on the spot.
 *
 * A made image is, page by page, by a fixed throw of dice: 40 % zero, 12 % copies of
 * one of 256 pages, the others text-like (words that LZ4 shrinks to about a third).
 * Page n of seed s is the same everywhere, so that images too large to be kept in
 * memory can be compared as well.
 *
 * In a guest zero pages lie together, in runs of a hundred on the average: where that
 * matters, image_make_runs() makes one.
 */
#ifndef PAGODA_BENCH_IMAGE_H
#define PAGODA_BENCH_IMAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

#define PAGE 4096
#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

struct image {
	char path[PATH_MAX];  /* a raw file */
	uint64_t size;	      /* bytes */
	unsigned char *bytes; /* owned: a copy of what the file holds, no mapping of it */
	uint64_t zero_pages;
	uint64_t disk_bytes; /* of the file: below size where it is sparse */
	bool is_made;
};

/* splitmix64 */
uint64_t image_random(uint64_t *state);

/* Page pgno of the made image with that seed. */
void image_make_page(uint64_t seed, uint64_t pgno, unsigned char page[PAGE]);

/* A made image of size bytes at path; holes where it is zero. */
int image_make(const char *path, uint64_t seed, uint64_t size) MUST_CHECK;

/* A made image in which zero_percent of a hundred pages are zero and lie in runs, as the
 * others do: of 1 to 1023 pages, each power of two as often as the next. */
int image_make_runs(const char *path, uint64_t seed, uint64_t size,
		    unsigned int zero_percent) MUST_CHECK;

/* Writes to path the image with every one of percent pages of a hundred changed:
 * a quarter of it becomes new text. Changes image->bytes, too. */
int image_change(struct image *image, const char *path, uint64_t seed,
		 unsigned int percent) MUST_CHECK;

/* One image behind the other, and as much again of holes, at path: a machine that uses
 * half of its memory, and has some of it twice. */
int image_join(const char *path, const struct image *a, const struct image *b) MUST_CHECK;

/* Reads the file at path. */
int image_load(const char *path, struct image *ret) MUST_CHECK;
void image_free(struct image *image);

/* The two images of a guest, from dir (with guest-a.mem.zst), at A and B in work, or
 * made ones of made_size bytes where dir has none or is NULL. */
int image_find(const char *dir, uint64_t made_size, const char *work, struct image *ret_a,
	       struct image *ret_b) MUST_CHECK;

#endif
