/* SPDX-License-Identifier: Apache-2.0 */
/* Chance that PAGODA_SEED repeats, and how much of it: more under PAGODA_LONG. */
#ifndef PAGODA_TESTS_CHANCE_H
#define PAGODA_TESTS_CHANCE_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Printed at once: what follows may not come back to do it. */
static inline uint64_t chance_seed(void)
{
	const char *text = getenv("PAGODA_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);

	printf("seed %" PRIu64 "\n", seed);
	fflush(stdout);
	return seed;
}

/* 31 bits of chance. */
static inline uint64_t chance_next(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

static inline int chance_rounds(int quick, int full)
{
	return getenv("PAGODA_LONG") ? full : quick;
}

#endif
