/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Baseline: one FUSE file, "mem", that is served from memory: what FUSE itself costs.
 *
 * It is mounted by the same code with the same settings as a view of pagodafs (it
 * links fusefs/), and served by as many threads. It can be written to.
 */
#ifndef PAGODA_BENCH_NULL_FUSE_H
#define PAGODA_BENCH_NULL_FUSE_H

#include "base/attributes.h"
#include "bench/image.h"

struct null_fuse {
	const struct image *image; /* bytes are served, and written to */
	const char *dir;	   /* where it is mounted: an empty directory */
};

/* A process_serve. Ends when it is unmounted. */
int null_fuse_serve(const void *setup, int ready_fd) MUST_CHECK;

#endif
