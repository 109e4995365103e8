/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#include "handler/ahead.h"
#include "tests/unit.h"

#define P UINT64_C(4096)
#define PAGES 1024
#define BASE UINT64_C(0x100000000)
#define LEAST (AHEAD_LEAST / P)
#define MOST (BATCH_RUN_MOST / P)

static struct regions regions;
static uint64_t removed_words[PAGES / 64];
static uint64_t zero_words[PAGES / 64];
static struct bitmap removed = {removed_words, PAGES};
static struct bitmap zero = {zero_words, PAGES};
static const struct page_states pages = {&regions, &removed, &zero};
static struct ahead ahead;

/* Two regions of half the pages, one behind the other in memory too. */
static void fresh(void)
{
	memset(removed_words, 0, sizeof(removed_words));
	memset(zero_words, 0, sizeof(zero_words));
	ahead = (struct ahead){0};
	regions.n = 2;
	regions.at[0] = (struct region){BASE, PAGES / 2 * P, 0, P};
	regions.at[1] = (struct region){BASE + PAGES / 2 * P, PAGES / 2 * P, PAGES / 2 * P, P};
	ck_assert_int_eq(regions_check(&regions, PAGES * P), 0);
}

static uint64_t va_of(uint64_t page)
{
	return BASE + page * P;
}

/* A fault on a page, in a plan that has nothing from floor on below and from ceiling on
 * above it. Checks what must hold of any run. */
static struct run fault_within(uint64_t page, uint64_t floor, uint64_t ceiling)
{
	const struct region *region = regions_find(&regions, va_of(page));
	struct run run = batch_run_at(&pages, region, va_of(page), P);

	ahead_extend(&ahead, &pages, &run, va_of(floor), va_of(ceiling));
	ck_assert_uint_eq(run_asked(&run), va_of(page));
	ck_assert_uint_eq(run_asked_end(&run), va_of(page + 1));
	ck_assert_uint_eq(run.off, region_off(region, run.va));
	ck_assert_uint_ge(run.va, MAX(va_of(floor), region->va));
	ck_assert_uint_le(run.va + run.len, MIN(va_of(ceiling), region->va + region->size));
	ck_assert_uint_le(run.len, BATCH_RUN_MOST);
	for (uint64_t va = run.va; va < run.va + run.len; va += P)
		ck_assert_int_eq(batch_run_at(&pages, region, va, P).kind, run.kind);
	return run;
}

static struct run fault(uint64_t page)
{
	return fault_within(page, 0, PAGES);
}

START_TEST(grows_while_faults_go_forward)
{
	uint64_t want = LEAST;
	uint64_t page = 10;

	fresh();
	ck_assert_uint_eq(fault(page++).len, P);
	for (int i = 0; i < 3; i++) {
		struct run run = fault(page);

		ck_assert_uint_eq(run.before, 0);
		ck_assert_uint_eq(run.after, want * P);
		page += 1 + want;
		want *= 2;
	}
	/* never more than a run may have */
	ck_assert_uint_eq(fault(page).len, (1 + MIN(want, MOST - 1)) * P);
}
END_TEST

START_TEST(grows_while_faults_go_backward)
{
	uint64_t want = LEAST;
	uint64_t page = 400;

	fresh();
	ck_assert_uint_eq(fault(page--).len, P);
	for (int i = 0; i < 3; i++) {
		struct run run = fault(page);

		ck_assert_uint_eq(run.after, 0);
		ck_assert_uint_eq(run.before, want * P);
		page -= 1 + want;
		want *= 2;
	}
	ck_assert_uint_eq(fault(page).len, (1 + MIN(want, MOST - 1)) * P);
}
END_TEST

START_TEST(brings_nothing_where_faults_are_anywhere)
{
	fresh();
	for (uint64_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(fault(i * 389 % PAGES).len, P);
}
END_TEST

START_TEST(follows_several_streams)
{
	fresh();
	for (uint64_t stream = 0; stream < AHEAD_STREAMS; stream++)
		(void)fault(stream * 30);
	for (uint64_t stream = 0; stream < AHEAD_STREAMS; stream++)
		ck_assert_uint_eq(fault(stream * 30 + 1).after, LEAST * P);
	for (uint64_t stream = 0; stream < AHEAD_STREAMS; stream++)
		ck_assert_uint_eq(fault(stream * 30 + 2 + LEAST).after, 2 * LEAST * P);
}
END_TEST

START_TEST(shrinks_where_faults_leap)
{
	fresh();
	(void)fault(0);
	(void)fault(1);
	ck_assert_uint_eq(fault(2 + LEAST).after, 2 * LEAST * P);
	/* it leaps over a page: less, and only when it goes on */
	ck_assert_uint_eq(fault(2 + LEAST + 1 + 2 * LEAST + 1).after, 0);
	ck_assert_uint_eq(fault(2 + LEAST + 1 + 2 * LEAST + 2).after, 2 * LEAST * P);
}
END_TEST

START_TEST(begins_anew_where_pages_were_there)
{
	struct run run;

	fresh();
	(void)fault(0);
	(void)fault(1);
	run = fault(2 + LEAST);
	ck_assert_uint_eq(run.after, 2 * LEAST * P);
	ahead_fell_short(&ahead, &run);
	ck_assert_uint_eq(fault(2 + LEAST + 1 + 2 * LEAST).after, LEAST * P);
}
END_TEST

START_TEST(a_new_stream_begins_small)
{
	fresh();
	(void)fault(0);
	(void)fault(1);
	ck_assert_uint_eq(fault(2 + LEAST).after, 2 * LEAST * P);
	for (uint64_t i = 0; i < AHEAD_STREAMS; i++)
		(void)fault(100 + 20 * i);
	(void)fault(700);
	ck_assert_uint_eq(fault(701).after, LEAST * P);
	for (uint64_t i = 0; i < AHEAD_STREAMS; i++)
		ck_assert_uint_eq(fault(720 + 18 * i).after, 0);
	for (uint64_t i = 0; i < AHEAD_STREAMS; i++)
		ck_assert_uint_eq(fault(721 + 18 * i).after, LEAST * P);
}
END_TEST

START_TEST(ends_at_other_kinds_of_pages)
{
	fresh();
	bitmap_set(&removed, 5, 1);
	bitmap_set(&zero, 204, 1);
	(void)fault(2);
	ck_assert_uint_eq(fault(3).after, P);
	(void)fault(100);
	ck_assert_uint_eq(fault(101).after, LEAST * P);
	(void)fault(200);
	ck_assert_uint_eq(fault(201).after, 2 * P);
	/* also backward */
	(void)fault(9);
	ck_assert_uint_eq(fault(8).before, 2 * P);
	/* a removed page brings no other one */
	(void)fault(4);
	ck_assert_uint_eq(fault(5).len, P);
}
END_TEST

START_TEST(ends_at_regions_and_other_runs)
{
	fresh();
	(void)fault(PAGES / 2 - 3);
	ck_assert_uint_eq(fault(PAGES / 2 - 2).after, P);
	(void)fault(PAGES / 2 + 2);
	ck_assert_uint_eq(fault(PAGES / 2 + 1).before, P);
	(void)fault(20);
	ck_assert_uint_eq(fault_within(21, 0, 23).after, P);
	(void)fault(60);
	ck_assert_uint_eq(fault_within(59, 58, 100).before, P);
	ck_assert_uint_eq(fault(PAGES - 2).len, P);
	ck_assert_uint_eq(fault(PAGES - 1).len, P);
	(void)fault(1);
	ck_assert_uint_eq(fault(0).len, P);
}
END_TEST

UNIT_MAIN("ahead", grows_while_faults_go_forward, grows_while_faults_go_backward,
	  brings_nothing_where_faults_are_anywhere, follows_several_streams,
	  shrinks_where_faults_leap, begins_anew_where_pages_were_there, a_new_stream_begins_small,
	  ends_at_other_kinds_of_pages, ends_at_regions_and_other_runs)
