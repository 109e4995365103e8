/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/spin.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"

#define SETTING_US_MOST 1000 /* as SPIN_WORDS says */

int spin_parse(const char *text, uint64_t *ret_setting)
{
	uint64_t us = 0;

	if (strcmp(text, "auto") == 0) {
		*ret_setting = SPIN_AUTO;
		return 0;
	}
	if (strcmp(text, "off") != 0 && units_parse_number(text, SETTING_US_MOST, &us) < 0)
		return -EINVAL;
	*ret_setting = us * NS_PER_US;
	return 0;
}

void spin_init(struct spin *spin, uint64_t setting, unsigned int streak_most)
{
	*spin = (struct spin){.fixed_ns = setting, .streak_most = streak_most};
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

	if (window == 0 || (spin->streak_most && ++spin->streak > spin->streak_most)) {
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
