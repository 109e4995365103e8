/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to look for the next fault before sleeping.
 *
 * A fault costs two wake-ups: ours, and that of the thread that faulted. Ours is saved
 * where we are still looking when the fault comes. So after each round a window is
 * looked for, which grows while faults come close together and shrinks when they do
 * not, until it is nothing: a machine that rests costs nothing. (The rule is that of
 * KVM's halt polling.)
 *
 *   came within the window          it stays
 *   came later, but within MOST     it doubles, up to MOST
 *   came later than that            it halves, down to nothing
 *
 * Times are nanoseconds. One thread.
 */
#ifndef PAGODA_HANDLER_SPIN_H
#define PAGODA_HANDLER_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define SPIN_AUTO UINT64_MAX
#define SPIN_LEAST_NS UINT64_C(10000)
#define SPIN_MOST_NS UINT64_C(100000)

struct spin {
	uint64_t fixed_ns;  /* SPIN_AUTO, or always that window; 0: none */
	uint64_t window_ns; /* of SPIN_AUTO */
	unsigned int streak;
};

void spin_init(struct spin *spin, uint64_t setting);

/* The window that is due now. */
uint64_t spin_window(const struct spin *spin);

/* Looks for as long whether the descriptor can be read. Whoever else wants the
 * processor gets it. false too, now and then, where it finds it readable again and again:
 * there is more to wait for than this one. */
bool spin_look(struct spin *spin, int fd);

/* The next fault has come, that long after we began to look. */
void spin_learn(struct spin *spin, uint64_t waited_ns);

#endif
