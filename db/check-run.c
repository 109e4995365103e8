/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/check-run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool check_run_add(struct check_run *run, const struct check_place *place, const char *cause)
{
	if (run->count == 0) {
		run->first = *place;
		run->pgno_min = run->pgno_max = place->pgno;
		snprintf(run->cause, sizeof(run->cause), "%s", cause);
	} else if (strcmp(run->first.snapshot, place->snapshot) != 0 ||
		   strcmp(run->cause, cause) != 0) {
		return false;
	}
	run->pgno_min = MIN(run->pgno_min, place->pgno);
	run->pgno_max = MAX(run->pgno_max, place->pgno);
	run->row_max = place->row;
	run->count++;
	return true;
}

/* Pages that nobody has are called by their rows alone. */
static void rows_text(const struct check_run *run, char *text, size_t room)
{
	if (run->count == 1)
		snprintf(text, room, "page row %" PRIu64, run->first.row);
	else
		snprintf(text, room, "%" PRIu64 " page rows from %" PRIu64 " to %" PRIu64,
			 run->count, run->first.row, run->row_max);
}

static void pages_text(const struct check_run *run, char *text, size_t room)
{
	uint64_t row = run->first.row;

	if (run->count == 1)
		snprintf(text, room, "page %" PRIu64 " (row %" PRIu64 ")", run->pgno_min, row);
	else if (run->pgno_max - run->pgno_min + 1 == run->count)
		snprintf(text, room,
			 "pages %" PRIu64 " to %" PRIu64 " (rows %" PRIu64 " to %" PRIu64 ")",
			 run->pgno_min, run->pgno_max, row, run->row_max);
	else
		snprintf(text, room,
			 "%" PRIu64 " pages from %" PRIu64 " to %" PRIu64 " (rows from %" PRIu64
			 " to %" PRIu64 ")",
			 run->count, run->pgno_min, run->pgno_max, row, run->row_max);
}

void check_run_text(const struct check_run *run, char text[FAIL_TEXT_MAX])
{
	char where[160];

	if (run->first.snapshot[0])
		pages_text(run, where, sizeof(where));
	else
		rows_text(run, where, sizeof(where));
	/* where a cause has no room its end goes */
	snprintf(text, FAIL_TEXT_MAX, "%s: %.*s", where, (int)(FAIL_TEXT_MAX - strlen(where) - 3),
		 run->cause);
}
