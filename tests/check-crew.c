/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "handler/crew.h"
#include "tests/unit.h"

/* What may take long: a byte of a pipe, one for each member. */
static int pipes[CREW_MOST][2];
static struct crew *crew;

static void fresh(crew_lead_fn *lead)
{
	for (size_t i = 0; i < CREW_MOST; i++)
		ck_assert_int_eq(pipe2(pipes[i], O_CLOEXEC), 0);
	ck_assert_int_eq(crew_new(lead, NULL, &crew), 0);
}

/* A member enters and waits for its byte. Returns whether it still leads. */
static bool wait_for_byte(size_t member)
{
	char byte;

	crew_enter(crew, member);
	ck_assert_int_eq(read(pipes[member][0], &byte, 1), 1);
	return crew_leave(crew, member);
}

static void let_go(size_t member)
{
	ck_assert_int_eq(write(pipes[member][1], "", 1), 1);
}

static void wait_for_done(void)
{
	struct pollfd p = {.fd = crew_fd(crew), .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, 20000), 1);
	crew_clear(crew);
}

static int quick_left = 50000;
static atomic_int taken_early;

/* A busy machine may hold us up for long enough. */
static void lead_quick(void *arg UNUSED, size_t member)
{
	for (size_t i = 0; i < CREW_MOST; i++)
		if (crew_state(crew, i) == CREW_DONE)
			crew_collect(crew, i);
	while (quick_left > 0) {
		uint64_t since_ns = clock_monotonic_ns();

		quick_left--;
		crew_enter(crew, member);
		while (clock_monotonic_ns() - since_ns < 10 * NS_PER_US)
			; /* most of the time it has entered */
		if (!crew_leave(crew, member)) {
			if (clock_monotonic_ns() - since_ns < CREW_PATIENCE_NS)
				taken_early++;
			crew_done(crew, member);
			return;
		}
	}
	crew_end(crew);
}

START_TEST(who_is_quick_keeps_the_lead)
{
	fresh(lead_quick);
	crew_run(crew);
	/* the watcher may look at one entry and take the lead in the next, now and then */
	ck_assert_int_le(taken_early, 2);
	crew_free(crew);
}
END_TEST

/* Hand-overs to count; each member does what the others do. */
static int rounds;

static void lead_in_turns(void *arg UNUSED, size_t member)
{
	size_t other = 1 - member;

	if (rounds > 0) {
		/* the other one has been left behind, and knows nothing of it yet */
		ck_assert_int_eq(crew_state(crew, other), CREW_BEHIND);
		let_go(other);
		wait_for_done();
		ck_assert_int_eq(crew_state(crew, other), CREW_DONE);
		crew_collect(crew, other);
		ck_assert_int_eq(crew_state(crew, other), CREW_RESTS);
	}
	if (++rounds > 20) {
		crew_end(crew);
		return;
	}
	ck_assert(!wait_for_byte(member));
	crew_done(crew, member);
}

START_TEST(who_takes_long_is_left_behind)
{
	fresh(lead_in_turns);
	crew_run(crew);
	ck_assert_int_eq(rounds, 21);
	crew_free(crew);
}
END_TEST

/* Everyone hangs who may. The last one may not, and still leads. */
static void lead_until_the_last(void *arg UNUSED, size_t member)
{
	if (crew_may_enter(crew)) {
		ck_assert(!wait_for_byte(member));
		crew_done(crew, member);
		return;
	}
	ck_assert_uint_eq(member, CREW_MOST - 1);
	for (size_t i = 0; i < CREW_MOST - 1; i++) {
		ck_assert_int_eq(crew_state(crew, i), CREW_BEHIND);
		let_go(i);
	}
	for (size_t i = 0; i < CREW_MOST - 1; i++) {
		while (crew_state(crew, i) != CREW_DONE)
			wait_for_done();
		crew_collect(crew, i);
	}
	ck_assert(crew_may_enter(crew));
	crew_end(crew);
}

START_TEST(the_last_one_may_not_enter)
{
	fresh(lead_until_the_last);
	crew_run(crew);
	crew_free(crew);
}
END_TEST

static pid_t watcher;

/* How often it has gone to sleep. */
static long switches(pid_t tid)
{
	AUTO_FREE char *line = NULL;
	size_t room = 0;
	long n = -1;
	char path[64];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	in = fopen(path, "re");
	ck_assert_ptr_nonnull(in);
	while (getline(&line, &room, in) > 0)
		if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1)
			break;
	fclose(in);
	return n;
}

static void lead_after_a_rest(void *arg UNUSED, size_t member)
{
	static bool left;

	if (!left) {
		long before;

		/* what is looked at here is how the watcher spends that time */
		(void)poll(NULL, 0, 2500);
		before = switches(watcher);
		(void)poll(NULL, 0, 500);
		ck_assert_int_le(switches(watcher) - before, 2);
		left = true;
		ck_assert(!wait_for_byte(member));
		crew_done(crew, member);
		return;
	}
	let_go(1 - member);
	wait_for_done();
	crew_collect(crew, 1 - member);
	crew_end(crew);
}

START_TEST(the_watcher_sleeps_and_wakes)
{
	watcher = gettid();
	fresh(lead_after_a_rest);
	crew_run(crew);
	crew_free(crew);
}
END_TEST

UNIT_MAIN("crew", who_is_quick_keeps_the_lead, who_takes_long_is_left_behind,
	  the_last_one_may_not_enter, the_watcher_sleeps_and_wakes)
