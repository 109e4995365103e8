/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: proves a store. SQLite's own checks do not see lost commits or damaged
 * payload; this proves generation, schema, reachability, counts and digests,
 * and with data every page against its hash.
 */
#ifndef PAGODA_DB_CHECK_H
#define PAGODA_DB_CHECK_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/progress.h"
#include "db/index.h"

struct damage;

struct check_report {
	uint64_t snapshots;  /* looked at */
	uint64_t pages;	     /* rows of stored pages looked at */
	uint64_t pages_read; /* of those, decoded and compared with their hash */
	uint64_t packs;
	uint64_t findings; /* each was told to the callback */
};

struct check_request {
	unsigned int read_percent; /* 0: the index only; 100: every page */
	uint64_t seed;		   /* of the sample below 100 percent */
	struct progress *progress; /* borrowed, may be NULL */
	/* One damage found: one line, without a newline. snapshot is "" where it
	 * belongs to none. */
	void (*found)(void *context, const char *snapshot, const char *what);
	void *context;
	struct damage *damage; /* borrowed, or NULL: notes what may be dropped (db/damage.h) */
};

/* 0 if the proof could be carried out, whatever it found. */
int check_store(struct index *index, const struct check_request *request,
		struct check_report *ret) MUST_CHECK;

#endif
