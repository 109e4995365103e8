/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session whose source is slow, hangs, or goes and comes back. The linker puts our
 * reading in the place of the source's.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "handler/channel.h"
#include "handler/crew.h"
#include "tests/session-fixture.h"
#include "tests/unit.h"

static atomic_uint reads[PAGES];  /* that began with that page */
static atomic_bool hangs[PAGES];  /* such a read waits for as long */
static atomic_size_t bad = PAGES; /* no read that holds it succeeds */
static atomic_bool lost;	  /* reads say that the file system has gone */
static atomic_uint read_ms;	  /* that long a read takes */
static void (*in_read)(size_t i); /* called in a read that begins with that page */

int __real_source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf);
int __wrap_source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf);

int __wrap_source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf)
{
	uint64_t until = clock_monotonic_ns() + read_ms * NS_PER_MS;
	bool gone = lost;
	int r = __real_source_read(source, fd, off, len, buf);

	reads[off / P]++;
	if (in_read)
		in_read(off / P);
	if (off / P <= bad && bad < (off + len) / P)
		return fail_with(-EIO, "a page is bad");
	while (hangs[off / P] || clock_monotonic_ns() < until)
		sched_yield();
	return gone ? fail_with(-ENOTCONN, "the test says so") : r;
}

static atomic_bool announcing;
static atomic_bool announcements_hang;

void __wrap_source_announce(int fd, uint64_t off, uint64_t len);

void __wrap_source_announce(int fd UNUSED, uint64_t off UNUSED, uint64_t len UNUSED)
{
	announcing = true;
	while (announcements_hang)
		sched_yield();
}

static void read_wait(size_t i)
{
	while (reads[i] == 0)
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

/* The session's end of a channel; the keeper's is returned. */
static int channel_make(void)
{
	int ends[2];

	ck_assert_int_eq(channel_new(ends), 0);
	f.channel = ends[1];
	return ends[0];
}

static struct channel_message channel_hear(int keeper)
{
	struct pollfd p = {.fd = keeper, .events = POLLIN};
	struct channel_message message;

	ck_assert_int_eq(poll(&p, 1, 20000), 1);
	ck_assert_int_eq(channel_receive(keeper, &message), 1);
	return message;
}

static void channel_say(int keeper, enum channel_kind kind, uint32_t generation, int fd)
{
	struct channel_message message = {.kind = kind, .generation = generation, .fd = fd};

	ck_assert_int_eq(channel_send(keeper, &message), 0);
}

START_TEST(a_lost_file_is_waited_for)
{
	int keeper = channel_make();
	struct channel_message message;
	struct toucher t[2];

	if (!fresh())
		return;
	lost = true;
	start();
	touch(&t[0], page(5));
	message = channel_hear(keeper);
	ck_assert_uint_eq(message.kind, CHANNEL_LOST);
	ck_assert_uint_eq(message.generation, 0);
	for (size_t i = 0; i < 3; i++) { /* each time what waits is looked at again */
		touch(&t[1], page(HOLE + i));
		touched(&t[1], 0);
	}
	ck_assert_int_eq(t[0].got, -1);
	/* lost again as soon as it is there */
	channel_say(keeper, CHANNEL_FILE, 1, f.image);
	message = channel_hear(keeper);
	ck_assert_uint_eq(message.kind, CHANNEL_LOST);
	ck_assert_uint_eq(message.generation, 1);
	lost = false;
	channel_say(keeper, CHANNEL_FILE, 1, f.image); /* that one is known to be lost */
	channel_say(keeper, CHANNEL_FILE, 2, f.image);
	touched(&t[0], of_image(5));
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.lost_sources, 2);
	/* it has waited once, however often it was looked at */
	ck_assert_uint_eq(f.shared->counters.waiting_pages, 1);
}
END_TEST

/* So does the next page of --fill. */
START_TEST(fill_waits_for_a_lost_file)
{
	int keeper = channel_make();
	struct toucher t;

	if (!fresh())
		return;
	lost = true;
	start_with(true);
	(void)channel_hear(keeper);
	for (size_t i = 0; i < 3; i++) {
		touch(&t, page(HOLE + i));
		touched(&t, 0);
	}
	lost = false;
	channel_say(keeper, CHANNEL_FILE, 1, f.image);
	ends_by_itself(END_FILLED);
	ck_assert_uint_eq(f.shared->counters.waiting_pages, HOLE);
}
END_TEST

/* The session ends while its read hangs; only taking it down waits for that. */
static void no_answer(void)
{
	join(f.thread);
	hangs[5] = false;
	ended(END_SOURCE_FAILED);
	ck_assert_ptr_nonnull(strstr(f.shared->reason, "no answer"));
}

/* Makes rounds, until nobody serves it any more. */
static atomic_bool restless;

static void *touch_and_remove(void *at)
{
	while (restless) {
		(void)*(volatile unsigned char *)at;
		madvise(at, P, MADV_DONTNEED);
	}
	return NULL;
}

/* However many others are served meanwhile. */
START_TEST(others_make_nobody_wait_longer)
{
	int keeper = channel_make();
	pthread_t remover;
	struct toucher t;

	if (!fresh())
		return;
	f.timeout_ns = 300 * NS_PER_MS;
	lost = true;
	start();
	touch(&t, page(5));
	(void)channel_hear(keeper);
	restless = true;
	ck_assert_int_eq(pthread_create(&remover, NULL, touch_and_remove, page(HOLE)), 0);
	no_answer();
	ck_assert_int_eq(t.got, -1);
	/* a removal that nobody reads cannot be stopped, not even by who looks for leaks */
	restless = false;
	close(f.uffd);
	join(remover);
	join(t.thread);
}
END_TEST

/* What answers, if only an earlier question, is not given up. */
START_TEST(an_answer_begins_the_wait_anew)
{
	int keeper = channel_make();
	struct toucher t[2];
	uint64_t since;

	if (!fresh())
		return;
	f.timeout_ns = 3 * NS_PER_SEC;
	hangs[5] = true;
	start();
	touch(&t[0], page(5));
	read_wait(5);
	lost = true;
	touch(&t[1], page(20));
	(void)channel_hear(keeper);
	usleep(300000); /* of its patience: nothing is waited for */
	since = clock_monotonic_ns();
	hangs[5] = false;
	touched(&t[0], of_image(5));
	no_answer();
	ck_assert_int_eq(t[1].got, -1);
	ck_assert_uint_ge(clock_monotonic_ns() - since, f.timeout_ns);
}
END_TEST

START_TEST(another_image_ends_it)
{
	int keeper = channel_make();
	struct toucher t;

	if (!fresh())
		return;
	lost = true;
	start();
	touch(&t, page(5));
	(void)channel_hear(keeper);
	channel_say(keeper, CHANNEL_CHANGED, 0, -1);
	ends_by_itself(END_SOURCE_FAILED);
	ck_assert_ptr_nonnull(strstr(f.shared->reason, "another image"));
	ck_assert_int_eq(t.got, -1);
}
END_TEST

START_TEST(nobody_to_open_it_again_ends_it)
{
	int keeper = channel_make();
	struct toucher t;

	if (!fresh())
		return;
	close(keeper);
	lost = true;
	start();
	touch(&t, page(5));
	ends_by_itself(END_SOURCE_FAILED);
	ck_assert_ptr_nonnull(strstr(f.shared->reason, "nobody opens it again"));
	ck_assert_int_eq(t.got, -1);
}
END_TEST

START_TEST(a_read_that_hangs_too_long_ends_it)
{
	struct toucher t;

	if (!fresh())
		return;
	f.timeout_ns = 300 * NS_PER_MS;
	hangs[5] = true;
	start();
	touch(&t, page(5));
	no_answer();
	ck_assert_int_eq(t.got, -1);
}
END_TEST

START_TEST(a_file_lost_too_long_ends_it)
{
	int keeper = channel_make();
	struct toucher t;

	if (!fresh())
		return;
	f.timeout_ns = 300 * NS_PER_MS;
	lost = true;
	start();
	touch(&t, page(5));
	(void)channel_hear(keeper);
	no_answer();
	ck_assert_int_eq(t.got, -1);
}
END_TEST

/* Stops this process for some seconds, from another one, and returns when it has gone on. */
static void stop_for(unsigned int seconds)
{
	pid_t us = getpid();
	pid_t pid = fork();

	if (pid == 0) {
		kill(us, SIGSTOP);
		sleep(seconds); /* that long: nothing is waited for */
		kill(us, SIGCONT);
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* As is a whole host, with the file system. */
START_TEST(who_was_stopped_has_not_waited)
{
	struct toucher t[2];

	if (!fresh())
		return;
	f.timeout_ns = 2 * NS_PER_SEC;
	hangs[5] = true;
	start();
	touch(&t[0], page(5));
	read_wait(5);
	stop_for(3);
	touch(&t[1], page(30)); /* served, so the clock was looked at */
	touched(&t[1], of_image(30));
	hangs[5] = false;
	touched(&t[0], of_image(5));
	ends_with_the_machine();
}
END_TEST

START_TEST(a_file_that_cannot_be_received_ends_it)
{
	int keeper = channel_make();
	struct toucher t;

	if (!fresh())
		return;
	lost = true;
	start();
	touch(&t, page(5));
	(void)channel_hear(keeper);
	channel_say(keeper, CHANNEL_FILE, 1, -1);
	ends_by_itself(END_SOURCE_FAILED);
	ck_assert_ptr_nonnull(strstr(f.shared->reason, "could not be received"));
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
	  a_slow_announcement_holds_up_nothing, fill_waits_for_a_lost_file,
	  others_make_nobody_wait_longer, an_answer_begins_the_wait_anew, a_lost_file_is_waited_for,
	  another_image_ends_it, nobody_to_open_it_again_ends_it,
	  a_read_that_hangs_too_long_ends_it, a_file_lost_too_long_ends_it,
	  who_was_stopped_has_not_waited, a_file_that_cannot_be_received_ends_it,
	  a_bad_page_ends_who_asks_for_it)
