/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that reads or writes one file: each call timed, everything compared.
 * For process_call().
 */
#ifndef PAGODA_BENCH_ACCESS_H
#define PAGODA_BENCH_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "bench/image.h"

enum access_kind {
	ACCESS_RANDOM,	/* pread of count different pages, no read-ahead */
	ACCESS_ORDERED, /* read of all of it, 1 MiB at a time */
	ACCESS_WRITE,	/* pwrite of count pages */
	ACCESS_SYNC,	/* the same, each followed by fdatasync */
};

struct access {
	const char *path;
	const struct image *image; /* what it must hold; bytes may be NULL */
	uint64_t made_seed;	   /* what it must hold then (image_make_page) */
	enum access_kind kind;
	size_t count;
	uint64_t seed;
};

struct accessed {
	double p50_us; /* of one call */
	double p99_us;
	double seconds; /* of all */
	double per_second;
};

/* A process_measure: struct access, struct accessed. What was read is read once more
 * and compared after the clock has stopped; what was written is read back. -EBADMSG for a
 * wrong byte. */
int access_run(const void *access, void *ret_accessed) MUST_CHECK;

#endif
