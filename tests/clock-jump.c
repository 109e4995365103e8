/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD: a wall clock that jumps ten years ahead and ten years back, from one
 * question to the next.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

#define TEN_YEARS (10 * 365 * 86400L)

static unsigned int asked;

static long jump(void)
{
	return __atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED) % 2 ? TEN_YEARS : -TEN_YEARS;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	r = real(clock, now);
	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += jump();
	return r;
}

int gettimeofday(struct timeval *now, void *zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	now->tv_sec = t.tv_sec;
	now->tv_usec = t.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}
