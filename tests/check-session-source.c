/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session whose source is slow, hangs or has a bad page.
 */
#include "config.h"

#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "handler/crew.h"
#include "tests/session-fixture.h"
#include "tests/source-fixture.h"
#include "tests/unit.h"

static atomic_bool announcing;
static atomic_bool announcements_hang;

void __wrap_source_announce(int fd, uint64_t off, uint64_t len);

void __wrap_source_announce(int fd UNUSED, uint64_t off UNUSED, uint64_t len UNUSED)
{
	announcing = true;
	while (announcements_hang)
		sched_yield();
}

static void held_up_wait(bool held_up)
{
	while (__atomic_load_n(&f.shared->held_up, __ATOMIC_RELAXED) != held_up)
		sched_yield();
}

/* Pages whose waiting was counted. */
static uint64_t latencies(void)
{
	uint64_t n = 0;

	for (size_t i = 0; i < COUNTERS_LATENCIES; i++)
		n += f.shared->counters.latencies[i];
	return n;
}

START_TEST(a_slow_read_holds_up_its_page_only)
{
	struct toucher slow;
	struct toucher t[2];

	if (!fresh())
		return;
	hangs[5] = true;
	start();
	touch(&slow, page(5));
	read_wait(5);
	touch(&t[0], page(20));
	touch(&t[1], page(HOLE + 1));
	touched(&t[0], of_image(20));
	touched(&t[1], 0);
	ck_assert_int_eq(slow.got, -1);
	hangs[5] = false;
	touched(&slow, of_image(5));
	ends_with_the_machine();
	ck_assert_uint_ge(f.shared->counters.slow_reads, 1);
	ck_assert_uint_eq(latencies(), 3);
}
END_TEST

/* Only what is read counts as a read. */
START_TEST(a_slow_announcement_holds_up_nothing)
{
	struct toucher t[2];

	if (!fresh())
		return;
	announcements_hang = true;
	touch(&t[0], page(5));
	touch(&t[1], page(20));
	pending_wait(2);
	start();
	while (!announcing)
		sched_yield();
	touched(&t[0], of_image(5));
	touched(&t[1], of_image(20));
	held_up_wait(true);
	announcements_hang = false;
	held_up_wait(false); /* and so it was collected */
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.slow_reads, 0);
	ck_assert_uint_eq(f.shared->counters.waiting_pages, 0);
}
END_TEST

START_TEST(what_is_being_read_is_not_read_again)
{
	struct toucher slow[2];
	struct toucher other;

	if (!fresh())
		return;
	hangs[5] = true;
	start();
	touch(&slow[0], page(5));
	read_wait(5);
	touch(&slow[1], page(5) + 7);
	touch(&other, page(30)); /* served, so the one before was looked at too */
	touched(&other, of_image(30));
	ck_assert_uint_eq(reads[5], 1);
	hangs[5] = false;
	touched(&slow[0], of_image(5));
	touched(&slow[1], of_image(5));
	ends_with_the_machine();
}
END_TEST

/* The bytes that come late are of a page that was given back meanwhile. */
START_TEST(a_removal_wins_over_a_slow_read)
{
	struct remover remover;
	struct toucher t[3];

	if (!fresh())
		return;
	hangs[5] = true;
	for (size_t i = 0; i < 3; i++)
		touch(&t[i], page(5 + i));
	pending_wait(3);
	start();
	read_wait(5);
	remove_start(&remover, page(6), false);
	join(remover.thread);
	hangs[5] = false;
	touched(&t[0], of_image(5));
	touched(&t[1], 0);
	touched(&t[2], of_image(7));
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.data_pages, 2);
}
END_TEST

START_TEST(hanging_reads_leave_somebody_to_serve)
{
	struct toucher slow[2 * CREW_MOST];
	struct toucher zero;
	size_t n = sizeof(slow) / sizeof(slow[0]);

	if (!fresh())
		return;
	for (size_t i = 0; i < n; i++)
		hangs[3 * i] = true;
	for (size_t i = 0; i < n; i++)
		touch(&slow[i], page(3 * i));
	pending_wait(n);
	start();
	/* all but one hang */
	for (size_t i = 0; i < CREW_MOST - 1; i++)
		read_wait(3 * i);
	touch(&zero, page(HOLE));
	touched(&zero, 0);
	for (size_t i = 0; i < n; i++)
		hangs[3 * i] = false;
	for (size_t i = 0; i < n; i++)
		touched(&slow[i], of_image(3 * i));
	ends_with_the_machine();
}
END_TEST

START_TEST(fill_goes_on_after_a_slow_read)
{
	struct toucher t;

	if (!fresh())
		return;
	hangs[0] = true;
	start_with(true);
	read_wait(0);
	touch(&t, page(HOLE + 2));
	touched(&t, 0);
	hangs[0] = false;
	ends_by_itself(END_FILLED);
	/* what came late was used: a source that is always slow is read all the same */
	ck_assert_uint_eq(reads[0], 1);
	ck_assert_uint_eq(f.shared->counters.fill_bytes, PAGES * P);
	for (size_t i = 0; i < PAGES; i++)
		ck_assert_int_eq(*page(i), of_image(i));
}
END_TEST

/* Pages of data and removed ones in turn, so that each page is a read of its own. */
static void tear(void)
{
	for (size_t i = 1; i < HOLE; i += 2)
		bitmap_set(&f.shared->removed, i, 1);
}

/* A source that answers is not given up, however long all of it takes. */
START_TEST(fill_of_a_slow_source_takes_its_time)
{
	if (!fresh())
		return;
	tear();
	read_ms = 12; /* each costs the lead; all of them more than the patience */
	f.timeout_ns = 150 * NS_PER_MS;
	start_with(true);
	ends_by_itself(END_FILLED);
	for (size_t i = 0; i < PAGES; i++)
		ck_assert_int_eq(*page(i), i % 2 || i >= HOLE ? 0 : of_image(i));
}
END_TEST

static struct toucher faulter;
static unsigned int reads_before; /* that began while its fault waited */

/* A fault comes in the midst of a turn of --fill. */
static void fault_in_between(size_t i)
{
	if (i == 2) {
		touch(&faulter, page(HOLE));
		pending_wait(1);
	} else if (i > 2 && f.shared->counters.zero_pages == 0) {
		reads_before++;
	}
}

START_TEST(fill_lets_a_fault_in_between_its_reads)
{
	if (!fresh())
		return;
	tear();
	in_read = fault_in_between;
	start_with(true);
	ends_by_itself(END_FILLED);
	touched(&faulter, 0);
	ck_assert_uint_eq(reads_before, 0);
}
END_TEST

/* A page that was only to be read ahead ends no machine. */
START_TEST(a_bad_page_ends_who_asks_for_it)
{
	struct toucher t;

	if (!fresh())
		return;
	f.readahead = true;
	bad = 20;
	start();
	for (size_t i = 0; i < 20; i++) {
		touch(&t, page(i));
		touched(&t, of_image(i));
	}
	touch(&t, page(20));
	ends_by_itself(END_SOURCE_FAILED);
	ck_assert_int_eq(t.got, -1);
}
END_TEST

UNIT_MAIN("session-source", a_slow_read_holds_up_its_page_only,
	  what_is_being_read_is_not_read_again, a_removal_wins_over_a_slow_read,
	  hanging_reads_leave_somebody_to_serve, fill_goes_on_after_a_slow_read,
	  fill_of_a_slow_source_takes_its_time, fill_lets_a_fault_in_between_its_reads,
	  a_slow_announcement_holds_up_nothing, a_bad_page_ends_who_asks_for_it)
