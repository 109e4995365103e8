/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which messages were just said: one bad page that is read a thousand times
 * makes one line, not a thousand. Bounded memory: a message that lost its place
 * to others is simply said again. Pure but for its lock; any thread.
 */
#ifndef PAGODA_FUSEFS_REPEAT_H
#define PAGODA_FUSEFS_REPEAT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define REPEAT_SLOTS 256
#define REPEAT_SILENCE_NS (UINT64_C(60) * 1000 * 1000 * 1000)

struct repeat {
	pthread_mutex_t lock;
	struct {
		uint64_t key;	  /* hash of the message, 0 for none */
		uint64_t said_ns; /* when it was last said */
		uint64_t held;	  /* how often it was not said since */
	} slots[REPEAT_SLOTS];	  /* protected by lock */
};

#define REPEAT_INIT                                                                                \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER                                                  \
	}

/* Is this message to be said at now_ns (monotonic)? Not if it was within
 * REPEAT_SILENCE_NS. *ret_held is how often it was held back since. */
bool repeat_allows(struct repeat *repeat, const char *message, uint64_t now_ns, uint64_t *ret_held);

#endif
