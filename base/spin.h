/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to look for what comes next before sleeping.
 *
 * A fault, or a request of the kernel, costs two wake-ups: ours, and that of who waits
 * for the answer. Ours is saved where we are still looking when it comes. So after each
 * one a window is looked for, which grows while they come close together and shrinks
 * when they do not, until it is nothing: a machine that rests costs nothing. (The rule
 * is that of KVM's halt polling.)
 *
 *   came within the window          it stays
 *   came later, but within MOST     it doubles, up to MOST
 *   came later than that            it halves, down to nothing
 *
 * Times are nanoseconds. One thread.
 */
#ifndef PAGODA_BASE_SPIN_H
#define PAGODA_BASE_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

#define SPIN_AUTO UINT64_MAX
#define SPIN_LEAST_NS UINT64_C(10000)
#define SPIN_MOST_NS UINT64_C(100000)
#define SPIN_WORDS "auto, off, or at most 1000 microseconds" /* what spin_parse takes */

struct spin {
	uint64_t fixed_ns;  /* SPIN_AUTO, or always that window; 0: none */
	uint64_t window_ns; /* of SPIN_AUTO */
	unsigned int streak;
	unsigned int streak_most;
};

/* Reads SPIN_WORDS. -EINVAL. */
int spin_parse(const char *text, uint64_t *ret_setting) MUST_CHECK;

/* streak_most: looks in a row that may find something. 0: as many as do. */
void spin_init(struct spin *spin, uint64_t setting, unsigned int streak_most);

/* The window that is due now. */
uint64_t spin_window(const struct spin *spin);

/* Looks for as long whether the descriptor can be read. Whoever else wants the
 * processor gets it. false too after a streak of finds: there may be more to wait for
 * than this one. */
bool spin_look(struct spin *spin, int fd);

/* The next has come, that long after we began to look. */
void spin_learn(struct spin *spin, uint64_t waited_ns);

#endif
