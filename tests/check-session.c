/* SPDX-License-Identifier: Apache-2.0 */
/* The loop against a real userfaultfd: pages and removals. */
#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/session-fixture.h"
#include "tests/unit.h"

/* ---- pages ---- */

START_TEST(serves_every_page)
{
	if (!fresh())
		return;
	start();
	for (size_t i = 0; i < PAGES; i++)
		for (size_t at = 0; at < P; at += 511)
			ck_assert_int_eq(page(i)[at], of_image(i));
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.faults, PAGES);
	ck_assert_uint_eq(f.shared->counters.data_pages, HOLE);
	ck_assert_uint_eq(f.shared->counters.zero_pages, PAGES - HOLE);
	ck_assert_uint_eq(f.shared->counters.bytes, HOLE * P);
	/* a round a fault, and not one that was for nothing */
	ck_assert_uint_le(f.shared->counters.rounds, PAGES);
}
END_TEST

START_TEST(serves_what_came_together_in_runs)
{
	struct toucher t[16];

	if (!fresh())
		return;
	for (size_t i = 0; i < 8; i++) {
		touch(&t[i], page(8 + i));
		touch(&t[8 + i], page(HOLE - 4 + i));
	}
	pending_wait(16);
	start();
	for (size_t i = 0; i < 8; i++) {
		touched(&t[i], of_image(8 + i));
		touched(&t[8 + i], of_image(HOLE - 4 + i));
	}
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.batches, 1);
	ck_assert_uint_eq(f.shared->counters.runs, 3);
	ck_assert_uint_eq(f.shared->counters.sizes[4], 1);
}
END_TEST

START_TEST(serves_a_page_once_for_two)
{
	struct toucher t[2];

	if (!fresh())
		return;
	touch(&t[0], page(3));
	touch(&t[1], page(3) + 100);
	pending_wait(2);
	start();
	touched(&t[0], of_image(3));
	touched(&t[1], of_image(3));
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.duplicates, 1);
	ck_assert_uint_eq(f.shared->counters.runs, 1);
}
END_TEST

START_TEST(wakes_who_waits_for_a_present_page)
{
	struct toucher t;

	if (!fresh())
		return;
	touch(&t, page(3));
	pending_wait(1);
	install_quietly(3);
	start();
	touched(&t, 0xee);
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.present_pages, 1);
}
END_TEST

START_TEST(goes_on_after_a_partial_copy)
{
	struct toucher t[8];

	if (!fresh())
		return;
	for (size_t i = 0; i < 8; i++)
		touch(&t[i], page(8 + i));
	pending_wait(8);
	install_quietly(11);
	start();
	for (size_t i = 0; i < 8; i++)
		touched(&t[i], i == 3 ? 0xee : of_image(8 + i));
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.partial_copies, 1);
	ck_assert_uint_eq(f.shared->counters.present_pages, 1);
	ck_assert_uint_eq(f.shared->counters.data_pages, 7);
}
END_TEST

/* A run is one ioctl, which wants one mapping. */
START_TEST(serves_a_run_over_two_mappings)
{
	struct toucher t[8];

	if (!fresh())
		return;
	ck_assert_int_eq(mprotect(page(12), 4 * P, PROT_READ), 0);
	for (size_t i = 0; i < 8; i++)
		touch(&t[i], page(8 + i));
	pending_wait(8);
	start();
	for (size_t i = 0; i < 8; i++)
		touched(&t[i], of_image(8 + i));
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.unmapped_pages, 0);
}
END_TEST

static sigjmp_buf after_fault;

static void on_fault(int number UNUSED)
{
	siglongjmp(after_fault, 1);
}

static void *touch_or_fault(void *arg)
{
	struct toucher *t = arg;

	if (sigsetjmp(after_fault, 1) == 0)
		t->got = *t->at;
	else
		t->got = 1000;
	return NULL;
}

/* Who waits in a page that was unmapped must get to know. */
START_TEST(leaves_out_what_was_unmapped)
{
	struct toucher gone = {.at = NULL};
	struct toucher t;

	if (!fresh())
		return;
	signal(SIGSEGV, on_fault);
	gone.at = page(9);
	ck_assert_int_eq(pthread_create(&gone.thread, NULL, touch_or_fault, &gone), 0);
	touch(&t, page(10));
	pending_wait(2);
	ck_assert_ptr_eq(
		mmap(page(9), P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		page(9));
	start();
	touched(&t, of_image(10));
	touched(&gone, 1000);
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.unmapped_pages, 1);
}
END_TEST

/* ---- removals ---- */

START_TEST(removed_pages_are_zero)
{
	if (!fresh())
		return;
	start();
	ck_assert_int_eq(page(5)[0], of_image(5));
	ck_assert_int_eq(madvise(page(4), 3 * P, MADV_DONTNEED), 0);
	ck_assert_int_eq(page(4)[0], 0); /* removed before it was ever there */
	ck_assert_int_eq(page(5)[P - 1], 0);
	ck_assert_int_eq(page(6)[7], 0);
	ck_assert_int_eq(page(3)[0], of_image(3));
	ck_assert_int_eq(page(7)[0], of_image(7));
	/* written, removed again: it stays removed */
	page(5)[0] = 77;
	ck_assert_int_eq(madvise(page(5), P, MADV_DONTNEED), 0);
	ck_assert_int_eq(page(5)[0], 0);
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.removals, 2);
	ck_assert_uint_eq(f.shared->counters.removed_bytes, 4 * P);
	ck_assert_uint_eq(f.shared->counters.removed_pages, 4);
}
END_TEST

/* Called before the source is read (the linker puts this in between). */
static void (*before_read)(void);

int __real_source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf);
int __wrap_source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf);

int __wrap_source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf)
{
	if (before_read)
		before_read();
	return __real_source_read(source, fd, off, len, buf);
}

/* A fault and the removal of its page in one read. */
static uint64_t fault_and_remove(bool starved)
{
	struct toucher t[2];
	struct remover remover;
	uint64_t deferred;

	touch(&t[0], page(5));
	touch(&t[1], page(6));
	pending_wait(2);
	remove_start(&remover, page(5), false);
	remove_wait(&remover);
	if (starved)
		starve_begin(&remover);
	start();
	touched(&t[0], 0);
	touched(&t[1], of_image(6));
	if (starved)
		starve_end();
	join(remover.thread);
	ends_with_the_machine();
	waitpid(f.machine, NULL, 0);
	deferred = f.shared->counters.deferred_pages;
	/* nothing of the removed page was ever looked for in the image */
	if (deferred == 0)
		ck_assert_uint_eq(f.shared->counters.bytes, P);
	stale();
	return deferred;
}

/* Which of copy and removal the kernel lets go first is up to it, so once is not
 * enough. */
START_TEST(removals_come_before_faults_of_a_batch)
{
	for (int i = 0; i < 300; i++) {
		if (!fresh())
			return;
		fault_and_remove(false);
	}
}
END_TEST

/* Whoever removes does not get to run, so that nothing can be installed for long:
 * the faults are kept, and no message will come to remind of them. */
START_TEST(faults_are_kept_while_a_removal_is_under_way)
{
	uint64_t deferred = 0;

	for (int i = 0; i < 20; i++) {
		if (!fresh())
			return;
		deferred += fault_and_remove(true);
	}
	ck_assert_msg(deferred > 0, "no page was ever put off: the test tests nothing");
}
END_TEST

static struct remover late_remover;

static void remove_before_read(void)
{
	before_read = NULL;
	remove_start(&late_remover, page(5), false);
	remove_wait(&late_remover);
}

/* The removal comes when the run is planned and being read: the copy is put off, and
 * what the page is has to be looked up again. */
START_TEST(what_is_kept_is_planned_again)
{
	struct toucher t;

	if (!fresh())
		return;
	before_read = remove_before_read;
	start();
	touch(&t, page(5));
	touched(&t, 0);
	join(late_remover.thread);
	ends_with_the_machine();
	ck_assert_uint_ge(f.shared->counters.deferred_pages, 1); /* as long as it takes */
	ck_assert_uint_eq(f.shared->counters.bytes, P);
	ck_assert_uint_eq(f.shared->counters.data_pages, 0);
}
END_TEST

static void touch_one(size_t i, int want)
{
	struct toucher t;

	touch(&t, page(i));
	touched(&t, want);
}

START_TEST(readahead_brings_what_comes_next)
{
	if (!fresh())
		return;
	f.readahead = true;
	start();
	for (size_t i = 0; i < PAGES; i++)
		touch_one(i, of_image(i));
	ends_with_the_machine();
	ck_assert_uint_le(f.shared->counters.faults, 12);
	ck_assert_uint_eq(f.shared->counters.data_pages, HOLE);
	ck_assert_uint_eq(f.shared->counters.zero_pages, PAGES - HOLE);
}
END_TEST

/* Pages that are there already are not looked for by whoever is woken. */
START_TEST(readahead_ends_at_present_and_removed_pages)
{
	if (!fresh())
		return;
	f.readahead = true;
	install_quietly(9);
	start();
	touch_one(20, of_image(20));
	ck_assert_int_eq(madvise(page(20), P, MADV_DONTNEED), 0);
	for (size_t i = 0; i < 40; i++)
		touch_one(i, i == 9 ? 0xee : i == 20 ? 0 : of_image(i));
	for (size_t i = 63; i > 40; i--)
		touch_one(i, of_image(i));
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.present_pages, 0);
	ck_assert_uint_eq(f.shared->counters.removed_pages, 1);
}
END_TEST

UNIT_MAIN("session", serves_every_page, serves_what_came_together_in_runs,
	  serves_a_page_once_for_two, wakes_who_waits_for_a_present_page,
	  goes_on_after_a_partial_copy, serves_a_run_over_two_mappings,
	  leaves_out_what_was_unmapped, removed_pages_are_zero,
	  removals_come_before_faults_of_a_batch, faults_are_kept_while_a_removal_is_under_way,
	  what_is_kept_is_planned_again, readahead_brings_what_comes_next,
	  readahead_ends_at_present_and_removed_pages)
