/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session whose source is lost: it is opened again, or waited for in vain. The test is
 * the keeper.
 */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "handler/channel.h"
#include "tests/session-fixture.h"
#include "tests/source-fixture.h"
#include "tests/unit.h"

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

UNIT_MAIN("session-lost", fill_waits_for_a_lost_file, others_make_nobody_wait_longer,
	  an_answer_begins_the_wait_anew, a_lost_file_is_waited_for, another_image_ends_it,
	  nobody_to_open_it_again_ends_it, a_read_that_hangs_too_long_ends_it,
	  a_file_lost_too_long_ends_it, who_was_stopped_has_not_waited,
	  a_file_that_cannot_be_received_ends_it)
