/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Baseline: a userfaultfd handler as the published examples have it. It takes one
 * hand-over on a socket and serves from a mapping of the raw file.
 */
#ifndef PAGODA_BENCH_ONE_AT_A_TIME_H
#define PAGODA_BENCH_ONE_AT_A_TIME_H

#include <stdbool.h>

#include "base/attributes.h"

struct one_at_a_time {
	const char *socket;
	const char *image; /* raw file */
	bool fill;	   /* copy all of it in runs of 2 MiB and end, instead of serving */
};

/* A process_serve. Serves machine after machine, one at a time, until it is killed. */
int one_at_a_time_serve(const void *setup, int ready_fd) MUST_CHECK;

#endif
