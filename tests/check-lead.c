/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for the next request. A pipe stands for the device: a byte is a request.
 */
#include "config.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "fusefs/lead.h"
#include "tests/unit.h"

#define WINDOW_NS (100 * NS_PER_US)

static struct lead lead;
static int device[2];

static void setup(uint64_t spin)
{
	ck_assert_int_eq(pipe(device), 0);
	lead_init(&lead, spin);
}

static void request(void)
{
	ck_assert_int_eq(write(device[1], "", 1), 1);
}

/* What a thread does until it answers. */
static void receive(struct led *led)
{
	char byte;

	lead_wait(&lead, led, device[0]);
	ck_assert_int_eq(read(device[0], &byte, 1), 1);
	lead_received(&lead, led, device[0]);
}

/* Another thread that comes to wait, and whether it was let in. */
struct other {
	pthread_t id;
	struct led led;
	atomic_bool in;
};

static void *other_main(void *arg)
{
	struct other *other = arg;

	lead_wait(&lead, &other->led, device[0]);
	other->in = true;
	return NULL;
}

static void other_comes(struct other *other)
{
	ck_assert_int_eq(pthread_create(&other->id, NULL, other_main, other), 0);
}

static void wait_for_resting(unsigned int count)
{
	unsigned int resting;

	do {
		sched_yield();
		pthread_mutex_lock(&lead.lock);
		resting = lead.resting;
		pthread_mutex_unlock(&lead.lock);
	} while (resting < count);
}

/* It was not let in until now, and is from now on. */
static void other_is_in(struct other *other)
{
	pthread_join(other->id, NULL);
	ck_assert(other->in);
}

START_TEST(one_at_a_time_where_requests_are_close)
{
	struct led led = {.leads = false};
	struct other other = {.in = false};

	setup(WINDOW_NS);
	request();
	receive(&led);
	ck_assert(led.leads);
	other_comes(&other);
	wait_for_resting(1);
	request();
	receive(&led); /* the leader goes on without waiting for anybody */
	ck_assert(led.leads);
	ck_assert(!other.in);
	lead_give(&lead, &led);
	ck_assert(!led.leads);
	other_is_in(&other);
	ck_assert(other.led.looks && lead.leader == &other.led);
}
END_TEST

START_TEST(who_comes_while_the_leader_sleeps_looks)
{
	struct led led = {.leads = false};
	struct led next = {.leads = false};
	char byte;

	setup(WINDOW_NS);
	lead_wait(&lead, &led, device[0]); /* in vain: it sleeps in a read now */
	ck_assert(led.looks && !led.found);
	request();
	lead_wait(&lead, &next, device[0]);
	ck_assert(next.found);
	ck_assert_int_eq(read(device[0], &byte, 1), 1);
	lead_received(&lead, &next, device[0]);
	ck_assert(next.leads);
	/* the kernel has woken the other, too, and it was in time for another */
	lead_received(&lead, &led, device[0]);
	ck_assert(!led.leads);
	ck_assert_ptr_eq(lead.leader, &next);
}
END_TEST

START_TEST(a_lead_that_nobody_waits_for_is_free)
{
	struct led led = {.leads = false};
	struct led next = {.leads = false};

	setup(WINDOW_NS);
	request();
	receive(&led);
	lead_give(&lead, &led);
	lead_give(&lead, &led); /* it has none to give */
	request();
	receive(&next);
	ck_assert(next.leads);
}
END_TEST

START_TEST(requests_that_overlap_are_for_others)
{
	struct led led = {.leads = false};
	struct other other = {.in = false};

	setup(WINDOW_NS);
	request();
	request();
	receive(&led);
	ck_assert(!led.leads);
	other_comes(&other);
	other_is_in(&other);
	ck_assert(other.led.looks && other.led.overlaps);
}
END_TEST

/* Learns as if the thread had waited as long. */
static void receive_after(struct led *led, uint64_t waited_ns)
{
	char byte;

	request();
	lead_wait(&lead, led, device[0]);
	ck_assert_int_eq(read(device[0], &byte, 1), 1);
	led->found = false;
	led->since_ns -= waited_ns;
	lead.since_ns -= waited_ns;
	lead_received(&lead, led, device[0]);
}

START_TEST(nobody_leads_while_requests_are_far_apart)
{
	struct led led = {.leads = false};
	struct led another = {.leads = false};

	setup(SPIN_AUTO);
	for (int i = 0; i < 3; i++) {
		receive_after(&led, NS_PER_SEC);
		receive_after(&another, NS_PER_SEC);
		ck_assert(!led.leads && !another.leads);
	}
	receive_after(&another, SPIN_LEAST_NS);
	ck_assert(another.leads);
}
END_TEST

START_TEST(all_are_let_in_when_they_are_again)
{
	struct led led = {.leads = false};
	struct other others[2] = {{.in = false}};

	setup(SPIN_AUTO);
	receive_after(&led, SPIN_LEAST_NS);
	lead.spin.window_ns = SPIN_MOST_NS;
	ck_assert(led.leads);
	other_comes(&others[0]);
	other_comes(&others[1]);
	wait_for_resting(2);
	while (led.leads) {
		ck_assert(!others[0].in && !others[1].in);
		receive_after(&led, SPIN_MOST_NS + 1);
	}
	other_is_in(&others[0]);
	other_is_in(&others[1]);
	ck_assert(!others[0].led.looks && !others[1].led.looks);
}
END_TEST

/* Also where it is one without the lead that notices it. */
START_TEST(all_are_let_in_by_whoever_finds_it_so)
{
	struct led led = {.leads = false};
	struct other other = {.in = false};

	setup(SPIN_AUTO);
	receive_after(&led, SPIN_LEAST_NS);
	other_comes(&other);
	wait_for_resting(1);
	/* the leader has given it away, and the other has not come to take it */
	pthread_mutex_lock(&lead.lock);
	lead.leader = NULL;
	led.leads = false;
	lead.since_ns = 0;
	pthread_mutex_unlock(&lead.lock);
	led.found = false;
	lead_received(&lead, &led, device[0]);
	ck_assert(!lead.close);
	other_is_in(&other);
}
END_TEST

START_TEST(the_end_of_the_session_is_for_all)
{
	struct led led = {.leads = false};
	struct other other = {.in = false};

	setup(WINDOW_NS);
	request();
	receive(&led);
	other_comes(&other);
	wait_for_resting(1);
	lead_end(&lead);
	other_is_in(&other);
	ck_assert(!other.led.looks);
}
END_TEST

START_TEST(without_a_window_nobody_ever_leads)
{
	struct led led = {.leads = false};

	setup(0);
	for (int i = 0; i < 10; i++) {
		request();
		receive(&led);
		ck_assert(!led.leads && !led.found);
	}
}
END_TEST

UNIT_MAIN("lead", one_at_a_time_where_requests_are_close, who_comes_while_the_leader_sleeps_looks,
	  a_lead_that_nobody_waits_for_is_free, requests_that_overlap_are_for_others,
	  nobody_leads_while_requests_are_far_apart, all_are_let_in_when_they_are_again,
	  all_are_let_in_by_whoever_finds_it_so, the_end_of_the_session_is_for_all,
	  without_a_window_nobody_ever_leads)
