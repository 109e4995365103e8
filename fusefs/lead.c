/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/lead.h"

#include <poll.h>

#include "base/clock.h"

void lead_init(struct lead *lead, uint64_t spin)
{
	*lead = (struct lead){.close = false};
	pthread_mutex_init(&lead->lock, NULL);
	pthread_cond_init(&lead->changed, NULL);
	spin_init(&lead->spin, spin, 0);
	lead->close = spin_window(&lead->spin) > 0;
}

void lead_done(struct lead *lead)
{
	pthread_cond_destroy(&lead->changed);
	pthread_mutex_destroy(&lead->lock);
}

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* With the lock held. A leader that sleeps is no reason not to look: the kernel wakes it
 * all the same, and it goes on as one that does not lead. */
static bool may_lead(const struct lead *lead, const struct led *led)
{
	return !lead->leader || lead->leader == led || lead->sleeps;
}

void lead_wait(struct lead *lead, struct led *led, int fd)
{
	pthread_mutex_lock(&lead->lock);
	while (lead->close && !lead->ended && !may_lead(lead, led)) {
		lead->resting++;
		pthread_cond_wait(&lead->changed, &lead->lock);
		lead->resting--;
	}
	led->looks = lead->close && !lead->ended;
	if (led->looks) {
		lead->leader = led;
		lead->sleeps = false;
	}
	led->since_ns = clock_monotonic_ns();
	if (!led->looks)
		lead->since_ns = led->since_ns;
	pthread_mutex_unlock(&lead->lock);
	led->overlaps = led->looks && is_readable(fd);
	led->found = led->overlaps || (led->looks && spin_look(&lead->spin, fd));
	if (!led->looks || led->found)
		return;
	pthread_mutex_lock(&lead->lock);
	lead->sleeps = true;
	pthread_mutex_unlock(&lead->lock);
}

/* With the lock held: goes by what the window has become. */
static void follow_window(struct lead *lead, struct led *led)
{
	lead->close = spin_window(&lead->spin) > 0;
	if (lead->close) {
		if (!lead->leader)
			lead->leader = led;
		return;
	}
	lead->leader = NULL;
	pthread_cond_broadcast(&lead->changed);
}

void lead_received(struct lead *lead, struct led *led, int fd)
{
	if (!led->found) {
		uint64_t now;

		pthread_mutex_lock(&lead->lock);
		now = clock_monotonic_ns(); /* with the lock: not before what others noted */
		if (lead->leader == led) {
			lead->sleeps = false;
			spin_learn(&lead->spin, now - led->since_ns);
			follow_window(lead, led);
		} else if (!lead->leader) {
			spin_learn(&lead->spin, now - lead->since_ns);
			follow_window(lead, led);
		}
		led->leads = lead->leader == led;
		pthread_mutex_unlock(&lead->lock);
	} else {
		led->leads = true;
		if (led->overlaps && is_readable(fd))
			lead_give(lead, led);
	}
}

void lead_give(struct lead *lead, struct led *led)
{
	if (!led->leads)
		return;
	led->leads = false;
	pthread_mutex_lock(&lead->lock);
	lead->leader = NULL;
	lead->since_ns = clock_monotonic_ns();
	if (lead->resting > 0)
		pthread_cond_signal(&lead->changed);
	pthread_mutex_unlock(&lead->lock);
}

void lead_end(struct lead *lead)
{
	pthread_mutex_lock(&lead->lock);
	lead->ended = true;
	pthread_cond_broadcast(&lead->changed);
	pthread_mutex_unlock(&lead->lock);
}
