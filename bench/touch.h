/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that touches its memory: missing pages that a handler behind a socket
 * serves, each touch timed, and every page it touched compared in the end.
 *
 * For process_call(): the process is the machine, and its end is the machine's.
 */
#ifndef PAGODA_BENCH_TOUCH_H
#define PAGODA_BENCH_TOUCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "bench/image.h"

enum touch_order {
	TOUCH_RANDOM,	/* count different pages */
	TOUCH_IN_ORDER, /* the first count pages */
	TOUCH_BACKWARD, /* the same from the last of them to the first */
	TOUCH_TWO,	/* half of them, and as many in the middle of the image, in turn */
	TOUCH_NONE,	/* none before the handler has ended: it fills */
};

struct touch {
	const char *socket;
	const struct image *image; /* what the memory must hold; or made by seed */
	uint64_t made_seed;	   /* where image->bytes is NULL */
	enum touch_order order;
	size_t count;
	uint64_t seed; /* of the order */
	pid_t handler; /* whose end is waited for (TOUCH_NONE), whose worker is looked at */
};

struct touched {
	double p50_us;
	double p99_us;
	uint64_t worker_bytes; /* memory of the handler's first child at the end, or 0 */
	double seconds;	       /* from the hand-over to the last touch */
};

/* A process_measure: struct touch, struct touched. -EBADMSG for a wrong byte. */
int touch_run(const void *touch, void *ret_touched) MUST_CHECK;

#endif
