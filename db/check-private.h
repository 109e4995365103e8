/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a check, for its own files: check.c, and check-rows.c for page rows. */
#ifndef PAGODA_DB_CHECK_PRIVATE_H
#define PAGODA_DB_CHECK_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/check-run.h"
#include "db/check.h"

#define CHECK_PACK_SLOTS 64

struct check {
	struct index *index; /* borrowed */
	struct pages *pages; /* owned */
	const struct check_request *request;
	struct check_report report;
	struct pack_state {
		uint32_t number;   /* 0: none */
		uint64_t size;	   /* bytes; 0: the pack is not there or not what it should be */
		bool is_told;	   /* that */
		char text[128];	   /* why */
	} packs[CHECK_PACK_SLOTS]; /* those last looked at, by number */
	struct check_run run;	   /* of damaged pages, not told yet */
};

/* Tells a finding, of a snapshot or, "", of the store. */
void check_found(struct check *check, const char *snapshot, const char *format, ...)
	PRINTF_LIKE(3, 4);

/* Damage is a finding and the proof goes on; any other error ends it. */
int check_found_error(struct check *check, const char *snapshot, int r) MUST_CHECK;

/* ... of the index as a whole. */
int check_found_in_index(struct check *check, int r) MUST_CHECK;

/* Proves every page row, and with data the bytes of those that are sampled. */
int check_rows(struct check *check) MUST_CHECK;

#endif
