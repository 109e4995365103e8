/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/spin.h"
#include "tests/unit.h"

START_TEST(grows_while_faults_come_close_together)
{
	struct spin spin;

	spin_init(&spin, SPIN_AUTO, 0);
	ck_assert_uint_eq(spin_window(&spin), 0);
	for (uint64_t want = SPIN_LEAST_NS; want < SPIN_MOST_NS; want *= 2) {
		spin_learn(&spin, SPIN_MOST_NS);
		ck_assert_uint_eq(spin_window(&spin), want);
	}
	spin_learn(&spin, SPIN_MOST_NS);
	ck_assert_uint_eq(spin_window(&spin), SPIN_MOST_NS);
	spin_learn(&spin, 5); /* came in time: it stays */
	ck_assert_uint_eq(spin_window(&spin), SPIN_MOST_NS);
}
END_TEST

START_TEST(costs_nothing_where_they_do_not)
{
	struct spin spin;
	int faults = 0;

	spin_init(&spin, SPIN_AUTO, 0);
	for (int i = 0; i < 10; i++)
		spin_learn(&spin, SPIN_MOST_NS);
	while (spin_window(&spin) > 0) {
		spin_learn(&spin, SPIN_MOST_NS + 1);
		ck_assert_int_lt(++faults, 5);
	}
	spin_learn(&spin, NS_PER_SEC);
	ck_assert_uint_eq(spin_window(&spin), 0);
}
END_TEST

START_TEST(a_fixed_window_stays)
{
	struct spin spin;

	spin_init(&spin, 7000, 0);
	spin_learn(&spin, NS_PER_SEC);
	ck_assert_uint_eq(spin_window(&spin), 7000);
	spin_init(&spin, 0, 0);
	spin_learn(&spin, SPIN_LEAST_NS);
	ck_assert_uint_eq(spin_window(&spin), 0);
}
END_TEST

START_TEST(looks_as_long_as_the_window)
{
	struct spin spin;
	uint64_t since;
	int pipe_fds[2];

	ck_assert_int_eq(pipe(pipe_fds), 0);
	spin_init(&spin, 2 * NS_PER_MS, 0);
	since = clock_monotonic_ns();
	ck_assert(!spin_look(&spin, pipe_fds[0]));
	ck_assert_uint_ge(clock_monotonic_ns() - since, 2 * NS_PER_MS);
	ck_assert_int_eq(write(pipe_fds[1], "", 1), 1);
	ck_assert(spin_look(&spin, pipe_fds[0]));
	spin_init(&spin, 0, 0);
	ck_assert(!spin_look(&spin, pipe_fds[0]));
}
END_TEST

/* What is always readable does not keep the rest from being looked at. */
START_TEST(gives_way_now_and_then)
{
	struct spin spin;
	int pipe_fds[2];
	int found = 0;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(write(pipe_fds[1], "", 1), 1);
	spin_init(&spin, NS_PER_SEC, 64);
	for (int i = 0; i < 1000; i++)
		found += spin_look(&spin, pipe_fds[0]);
	ck_assert_int_gt(found, 900);
	ck_assert_int_lt(found, 1000);
	spin_init(&spin, NS_PER_SEC, 0);
	for (int i = 0; i < 1000; i++)
		ck_assert(spin_look(&spin, pipe_fds[0]));
}
END_TEST

START_TEST(takes_words_and_microseconds)
{
	uint64_t setting = 1;

	ck_assert_int_eq(spin_parse("auto", &setting), 0);
	ck_assert_uint_eq(setting, SPIN_AUTO);
	ck_assert_int_eq(spin_parse("off", &setting), 0);
	ck_assert_uint_eq(setting, 0);
	ck_assert_int_eq(spin_parse("1000", &setting), 0);
	ck_assert_uint_eq(setting, NS_PER_MS);
	ck_assert_int_eq(spin_parse("1001", &setting), -EINVAL);
	ck_assert_int_eq(spin_parse("", &setting), -EINVAL);
	ck_assert_int_eq(spin_parse("on", &setting), -EINVAL);
	ck_assert_uint_eq(setting, NS_PER_MS);
}
END_TEST

UNIT_MAIN("spin", grows_while_faults_come_close_together, costs_nothing_where_they_do_not,
	  a_fixed_window_stays, looks_as_long_as_the_window, gives_way_now_and_then,
	  takes_words_and_microseconds)
