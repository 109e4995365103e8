/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdint.h>
#include <string.h>

#include "handler/batch.h"
#include "tests/unit.h"

#define P UINT64_C(4096)
#define H REGIONS_HUGE_PAGE
#define A UINT64_C(0x7f0000000000) /* 1024 small pages, at offset 2 H */
#define B (A + 1024 * P)	   /* 16 of them, adjoining, at the end of the image */
#define C UINT64_C(0x7e0000000000) /* 2 huge pages, at offset 0 */
#define PAGES (1024 + 1024 + 16)

static struct regions regions = {
	.n = 3,
	.at = {{C, 2 * H, 0, H}, {A, 1024 * P, 2 * H, P}, {B, 16 * P, 2 * H + 1024 * P, P}},
};
static uint64_t removed_words[PAGES / 64 + 1];
static uint64_t zero_words[PAGES / 64 + 1];
static struct bitmap removed = {.words = removed_words, .bits = PAGES};
static struct bitmap zero = {.words = zero_words, .bits = PAGES};
static const struct page_states pages = {.regions = &regions, .removed = &removed, .zero = &zero};
static struct batch batch;

static void fresh(void)
{
	batch_init(&batch);
	memset(removed_words, 0, sizeof(removed_words));
	memset(zero_words, 0, sizeof(zero_words));
	ck_assert_int_eq(regions_check(&regions, PAGES * P), 0);
}

static void add(uint64_t va, uint64_t since_ns)
{
	ck_assert_int_eq(batch_add(&batch, va, since_ns), 0);
}

static void plan(size_t runs)
{
	ck_assert_int_eq(batch_plan(&batch, &pages), 0);
	ck_assert_uint_eq(batch.nruns, runs);
	ck_assert_uint_eq(batch.nfaults, 0);
}

static void run_is(size_t i, uint64_t va, uint64_t len, enum run_kind kind)
{
	const struct run *run = &batch.runs[i];

	ck_assert_uint_eq(run->va, va);
	ck_assert_uint_eq(run->len, len);
	ck_assert_int_eq(run->kind, kind);
	ck_assert_uint_eq(run->off, region_off(regions_find(&regions, va), va));
	ck_assert_uint_eq(run->page_size, regions_find(&regions, va)->page_size);
}

START_TEST(aligns_sorts_and_merges)
{
	fresh();
	add(A + 2 * P + 5, 30);
	add(A + 7 * P, 20);
	add(A + P, 40);
	add(A + 2 * P, 10);
	add(A + 3 * P + 4095, 50);
	plan(2);
	run_is(0, A + P, 3 * P, RUN_DATA);
	run_is(1, A + 7 * P, P, RUN_DATA);
	ck_assert_uint_eq(batch.runs[0].since_ns, 10);
	ck_assert_uint_eq(batch.runs[1].since_ns, 20);
	ck_assert_uint_eq(batch.duplicates, 1);
	ck_assert_uint_eq(batch.npages, 4);
	plan(0);
	batch_done(&batch);
}
END_TEST

START_TEST(keeps_regions_and_kinds_apart)
{
	fresh();
	bitmap_set(&zero, 1024 + 2, 2);	   /* pages 2, 3 of A */
	bitmap_set(&removed, 1024 + 3, 2); /* pages 3, 4 */
	for (uint64_t i = 0; i < 6; i++)
		add(A + i * P, 1);
	add(A + 1023 * P, 1);
	add(B, 1);
	plan(6);
	run_is(0, A, 2 * P, RUN_DATA);
	run_is(1, A + 2 * P, P, RUN_ZERO);
	run_is(2, A + 3 * P, 2 * P, RUN_REMOVED);
	run_is(3, A + 5 * P, P, RUN_DATA);
	run_is(4, A + 1023 * P, P, RUN_DATA);
	run_is(5, B, P, RUN_DATA);
	batch_done(&batch);
}
END_TEST

START_TEST(serves_huge_pages_whole)
{
	fresh();
	add(C + 5 * P, 1);
	add(C + H - 1, 1);
	add(C + H, 1);
	plan(2);
	run_is(0, C, H, RUN_DATA);
	run_is(1, C + H, H, RUN_DATA);
	bitmap_set(&zero, 0, 511);
	bitmap_set(&removed, 512, 512);
	add(C, 1);
	add(C + H, 1);
	plan(2);
	run_is(0, C, H, RUN_DATA);
	run_is(1, C + H, H, RUN_REMOVED);
	bitmap_set(&zero, 511, 1);
	add(C, 1);
	plan(1);
	run_is(0, C, H, RUN_ZERO);
	batch_done(&batch);
}
END_TEST

START_TEST(ends_runs_at_their_limit)
{
	fresh();
	for (uint64_t i = 0; i < 200; i++)
		add(A + i * P, 1);
	plan(4);
	run_is(0, A, BATCH_RUN_MOST, RUN_DATA);
	run_is(3, A + 3 * BATCH_RUN_MOST, 8 * P, RUN_DATA);
	batch_done(&batch);
}
END_TEST

START_TEST(reports_faults_outside)
{
	fresh();
	add(A - 1, 1);
	add(B + 16 * P, 1);
	add(A, 1);
	plan(1);
	run_is(0, A, P, RUN_DATA);
	ck_assert_uint_eq(batch.outside, 2);
	ck_assert(batch.outside_va == A - 1 || batch.outside_va == B + 16 * P);
	add(A, 1);
	plan(1);
	ck_assert_uint_eq(batch.outside, 0);
	batch_done(&batch);
}
END_TEST

/* A page that was put off is looked up again, and its wait goes on. */
START_TEST(plans_again_what_was_kept)
{
	fresh();
	for (uint64_t i = 0; i < 64; i++)
		add(A + i * P, 7);
	plan(1);
	batch_keep(&batch, &batch.runs[0], A + P);
	ck_assert_uint_eq(batch.nfaults, 63);
	bitmap_set(&removed, 1024 + 1, 1);
	add(A + 2 * P, 9);
	plan(2);
	run_is(0, A + P, P, RUN_REMOVED);
	run_is(1, A + 2 * P, 62 * P, RUN_DATA);
	ck_assert_uint_eq(batch.runs[1].since_ns, 7);
	batch_keep(&batch, &batch.runs[0], A + P);
	batch_keep(&batch, &batch.runs[1], A + 2 * P);
	plan(2);
	batch_done(&batch);
}
END_TEST

START_TEST(finds_the_run_at_a_page)
{
	struct run run;

	fresh();
	bitmap_set(&zero, 1024 + 10, 1000);
	run = batch_run_at(&pages, regions_find(&regions, A), A, BATCH_RUN_MOST);
	ck_assert_uint_eq(run.len, 10 * P);
	ck_assert_int_eq(run.kind, RUN_DATA);
	run = batch_run_at(&pages, regions_find(&regions, A), A + 10 * P, BATCH_RUN_MOST);
	ck_assert_uint_eq(run.len, BATCH_RUN_MOST);
	ck_assert_int_eq(run.kind, RUN_ZERO);
	run = batch_run_at(&pages, regions_find(&regions, A), A + 1010 * P, BATCH_RUN_MOST);
	ck_assert_uint_eq(run.len, 14 * P);
	ck_assert_uint_eq(run.off, 2 * H + 1010 * P);
	run = batch_run_at(&pages, regions_find(&regions, C), C + H, BATCH_RUN_MOST);
	ck_assert_uint_eq(run.len, H);
}
END_TEST

START_TEST(counts_zeros_from_a_page_on)
{
	const struct region *a = regions_find(&regions, A);

	fresh();
	ck_assert_uint_eq(batch_zeros_at(&pages, a, A), 0);
	bitmap_set(&zero, 1024 + 10, 100);
	bitmap_set(&removed, 1024 + 105, 20); /* some of both, then removed ones */
	bitmap_set(&zero, 1024 + 125, 5);
	ck_assert_uint_eq(batch_zeros_at(&pages, a, A), 0);
	ck_assert_uint_eq(batch_zeros_at(&pages, a, A + 10 * P), 120 * P);
	ck_assert_uint_eq(batch_zeros_at(&pages, a, A + 129 * P), P);
	ck_assert_uint_eq(batch_zeros_at(&pages, a, A + 130 * P), 0);
	/* what follows is another region's, and then the image is at its end */
	bitmap_set(&zero, 1024 + 1000, 40);
	ck_assert_uint_eq(batch_zeros_at(&pages, a, A + 1000 * P), 24 * P);
	ck_assert_uint_eq(batch_zeros_at(&pages, regions_find(&regions, B), B), 16 * P);
}
END_TEST

UNIT_MAIN("batch", aligns_sorts_and_merges, keeps_regions_and_kinds_apart, serves_huge_pages_whole,
	  ends_runs_at_their_limit, reports_faults_outside, plans_again_what_was_kept,
	  finds_the_run_at_a_page, counts_zeros_from_a_page_on)
