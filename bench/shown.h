/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image as a file that something serves: pagodafs, null-fuse, squashfuse_ll, or the
 * disk itself. Started on one processor, stopped, made cold.
 */
#ifndef PAGODA_BENCH_SHOWN_H
#define PAGODA_BENCH_SHOWN_H

#include <limits.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "bench/bench.h"

enum shown_by {
	SHOWN_BY_PAGODAFS,
	SHOWN_BY_NULL_FUSE,
	SHOWN_BY_SQUASHFUSE,
	SHOWN_BY_DISK,
};

struct shown {
	const struct bench *bench;
	enum shown_by by;
	int cpu;
	char backing[PATH_MAX]; /* what is on disk: a store, a squashfs image, a raw file */
	char dir[PATH_MAX];	/* mounted here */
	char file[PATH_MAX];	/* the image as it is shown */
	pid_t server;		/* of null-fuse */
};

/* Makes what is on disk (the store is bench->store, which must be there) and shows it. */
int shown_start(const struct bench *bench, enum shown_by by, int cpu, struct shown *ret) MUST_CHECK;
int shown_stop(struct shown *shown) MUST_CHECK;

const char *shown_name(enum shown_by by);

/* Out of the page cache goes the shown file. */
int shown_cool(const struct shown *shown) MUST_CHECK;

/* ... and what is on disk, and what the server itself remembers: it is started anew. */
int shown_freeze(struct shown *shown) MUST_CHECK;

#endif
