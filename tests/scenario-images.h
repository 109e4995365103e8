/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images that scenarios import and write, in memory and as files: how they share
 * pages and differ. Pages are numbered from 0.
 *
 * Made once a process, and kept to its end; one thread.
 */
#ifndef PAGODA_TESTS_SCENARIO_IMAGES_H
#define PAGODA_TESTS_SCENARIO_IMAGES_H

#include <stdint.h>

enum image {
	IMAGE_A,
	IMAGE_B,     /* shares a stretch with A, and single pages */
	IMAGE_LARGE, /* several steps of an import, with tests/libdb-small.a */
	IMAGE_PROOF,
	IMAGE_CHILD,	 /* A with some pages changed */
	IMAGE_GRAND,	 /* that with some more, zeros among them */
	IMAGE_PART,	 /* a few pages of LARGE */
	IMAGE_WRITTEN,	 /* A after a small write to a draft of it */
	IMAGE_REWRITTEN, /* and after a large one */
	IMAGES,
};

void scenario_images_make(void);

/* All bytes of it, and those of one page. */
const char *scenario_image(enum image image);
const char *scenario_page(enum image image, uint64_t pgno);

uint64_t scenario_npages(enum image image);

/* A descriptor to import it from, borrowed; the other is of what GRAND changes in CHILD,
 * as a diff. */
int scenario_file(enum image image);
int scenario_diff(void);

#endif
