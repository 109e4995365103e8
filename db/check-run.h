/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged pages of one snapshot that have one cause, as a pack that is cut short: one
 * finding and not one a page. Used by one thread.
 */
#ifndef PAGODA_DB_CHECK_RUN_H
#define PAGODA_DB_CHECK_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/fail.h"
#include "db/catalog.h"

/* Where a page is: its row, and a guest page that is kept there. */
struct check_place {
	uint64_t row;
	uint64_t pgno;			      /* 0 where no snapshot has it */
	char snapshot[SNAPSHOT_NAME_MAX + 1]; /* "" where no snapshot has it */
};

struct check_run {
	uint64_t count; /* pages; 0: there is no run */
	struct check_place first;
	uint64_t pgno_min;
	uint64_t pgno_max;
	uint64_t row_max;
	char cause[FAIL_TEXT_MAX];
};

/* Adds a page, of a row behind all others of the run. False where it does not belong
 * to the run: tell that and empty it first. To an empty one anything belongs. */
bool check_run_add(struct check_run *run, const struct check_place *place,
		   const char *cause) MUST_CHECK;

/* "pages 20 to 63 (rows 21 to 64): pack 1 is cut short at byte 700" */
void check_run_text(const struct check_run *run, char text[FAIL_TEXT_MAX]);

#endif
