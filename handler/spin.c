/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/spin.h"

#include <poll.h>
#include <sched.h>

#include "base/attributes.h"
#include "base/clock.h"

#define STREAK_MOST 64 /* looks without a proper wait, which sees all there is */

void spin_init(struct spin *spin, uint64_t setting)
{
	*spin = (struct spin){.fixed_ns = setting};
}

uint64_t spin_window(const struct spin *spin)
{
	return spin->fixed_ns == SPIN_AUTO ? spin->window_ns : spin->fixed_ns;
}

bool spin_look(struct spin *spin, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t window = spin_window(spin);
	uint64_t until;

	if (window == 0 || ++spin->streak > STREAK_MOST) {
		spin->streak = 0;
		return false;
	}
	until = clock_monotonic_ns() + window;
	do {
		if (poll(&p, 1, 0) > 0)
			return true;
		sched_yield();
	} while (clock_monotonic_ns() < until);
	spin->streak = 0;
	return false;
}

void spin_learn(struct spin *spin, uint64_t waited_ns)
{
	if (waited_ns <= spin->window_ns)
		return;
	if (waited_ns > SPIN_MOST_NS) {
		spin->window_ns /= 2;
		if (spin->window_ns < SPIN_LEAST_NS)
			spin->window_ns = 0;
	} else {
		spin->window_ns = MIN(MAX(2 * spin->window_ns, SPIN_LEAST_NS), SPIN_MOST_NS);
	}
}
