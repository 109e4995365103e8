/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/work-plan N: plans N batches of 64 faults at random, for a counter of
 * instructions (see work.c; the two rooms are not linked into one program).
 */
#include "config.h"

#include <err.h>
#include <stdlib.h>

#include "base/units.h"
#include "bench/image.h"
#include "handler/batch.h"

#define PAGES UINT64_C(65536)
#define FAULTS 64
#define VA UINT64_C(0x7f0000000000)

int main(int argc, char **argv)
{
	static struct regions regions = {.n = 1, .at = {{VA, PAGES * PAGE, 0, PAGE}}};
	static uint64_t removed_words[PAGES / 64];
	static uint64_t zero_words[PAGES / 64];
	const struct bitmap removed = {.words = removed_words, .bits = PAGES};
	struct bitmap zero = {.words = zero_words, .bits = PAGES};
	const struct page_states pages = {.regions = &regions, .removed = &removed, .zero = &zero};
	uint64_t state = 5;
	struct batch batch;
	uint64_t n;

	if (argc != 2 || units_parse_number(argv[1], UINT32_MAX, &n) < 0)
		errx(2, "usage: bench/work-plan N");
	/* holes of a guest: every other MiB has one */
	for (uint64_t pgno = 0; pgno < PAGES; pgno += 512)
		bitmap_set(&zero, pgno, 200);
	batch_init(&batch);
	for (uint64_t i = 0; i < n; i++) {
		for (size_t fault = 0; fault < FAULTS; fault++)
			if (batch_add(&batch, VA + image_random(&state) % (PAGES * PAGE), 1) < 0)
				errx(1, "out of memory");
		if (batch_plan(&batch, &pages) < 0 || batch.nruns == 0 || batch.outside)
			errx(1, "the plan is wrong");
	}
	batch_done(&batch);
	return 0;
}
