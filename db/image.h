/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image to be imported, cut into windows: in order, none twice, none missed.
 *
 * A file is read by its holes: long ones are windows of their own, which cost
 * nothing, short ones are marked in a window. Anything else (a pipe, a terminal) is
 * read to its end. image_next is called by several threads: who
 * gets a window of a file reads it with image_read, beside the others.
 */
#ifndef PAGODA_DB_IMAGE_H
#define PAGODA_DB_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"

#define WINDOW_PAGES 128 /* 512 KiB */

struct image;

/* What an image of a layer must be like, by its parent. */
struct image_rules {
	uint64_t size;	    /* bytes it must have; 0: any */
	const char *parent; /* whose size that is; borrowed */
	/* a hole says unchanged, and zeros are data: refused is what cannot hold holes,
	 * and a hole that does not begin and end with a page */
	bool is_diff;
};

/* fd is borrowed; name is how messages call it, borrowed, as rules. -EINVAL where the
 * size is 0, no multiple of a page or against the rules, as far as it is known, and of a
 * directory or a character device. */
int image_open(int fd, const char *name, const struct image_rules *rules,
	       struct image **ret) MUST_CHECK;
void image_close(struct image *image);
DEFINE_AUTO(struct image *, image_close)

/* Bytes; 0 as long as it is not known, as of a pipe. */
uint64_t image_size(const struct image *image);

struct image_window {
	uint64_t sequence; /* counts windows from 0 */
	uint64_t first;	   /* pgno */
	uint64_t npages;   /* 0: the end of the image; at most WINDOW_PAGES but of a hole */
	bool hole;	   /* of a file: pages of any number */
	bool is_diff;	   /* holes say unchanged, else zero */
	uint64_t holes[WINDOW_PAGES / 64]; /* bits of the pages that are holes among data */
};

/* Is page i of the window, counted from its first, a hole among data? */
static inline bool image_window_has_hole(const struct image_window *window, size_t i)
{
	return window->holes[i / 64] >> i % 64 & 1;
}

/* The next window; one call at a time is made to wait for the others. A window of
 * a pipe comes read, in plain (room for WINDOW_PAGES); after the end or an error
 * every call says the same again. */
int image_next(struct image *image, struct image_window *ret, void *plain) MUST_CHECK;

/* Reads a window of a file into plain, but for its holes; nothing to do for a pipe's.
 * -ECANCELED where the file has become shorter. */
int image_read(struct image *image, const struct image_window *window, void *plain) MUST_CHECK;

/* Proves at the end that nobody wrote to the file: -ECANCELED. */
int image_check_unchanged(const struct image *image) MUST_CHECK;

#endif
