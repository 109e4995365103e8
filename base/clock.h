/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds. Deadlines and durations use the monotonic clock only; the wall
 * clock is for people to read, and nothing depends on it.
 */
#ifndef PAGODA_BASE_CLOCK_H
#define PAGODA_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SEC UINT64_C(1000000000)

static inline uint64_t clock_read_ns_(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_monotonic_ns(void)
{
	return clock_read_ns_(CLOCK_MONOTONIC);
}

static inline uint64_t clock_wall_ns(void)
{
	return clock_read_ns_(CLOCK_REALTIME);
}

#endif
