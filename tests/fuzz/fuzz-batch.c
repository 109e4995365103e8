/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning, against an oracle that keeps a word about every page.
 *
 * The input lays out some regions and holes, then goes on with steps: a fault, a
 * removal, a plan. Of what a plan comes to a part is kept, as if a removal had
 * come in between, and is a fault of the next plan.
 *
 * Every page faulted is in one run, once; runs are by address, each in one region,
 * of one kind, which is the one its pages have by then, no longer than they may
 * be, and none could have been a part of the one before it.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "handler/batch.h"
#include "tests/fuzz/fuzz.h"

#define P UINT64_C(4096)
#define H REGIONS_HUGE_PAGE
#define INPUT_MOST 512 /* bytes: more only takes longer */
#define REGIONS 5
#define PAGES_MOST 4096 /* of all regions */
#define BASE UINT64_C(0x7f0000000000)

/* What is known of a page of the image. */
struct page {
	bool zero;
	bool removed;
	bool faulted; /* the first small page of what was faulted */
	uint64_t since_ns;
};

static struct page pages[PAGES_MOST];
static struct regions regions;
static uint64_t npages;
static uint64_t end_va; /* behind the last region */
static size_t faults;	/* given to the next plan */
static size_t outside;
static uint64_t zero_words[PAGES_MOST / 64];
static uint64_t removed_words[PAGES_MOST / 64];
static struct bitmap zero = {.words = zero_words};
static struct bitmap removed = {.words = removed_words};
static const struct page_states states = {.regions = &regions, .removed = &removed, .zero = &zero};
static struct batch batch;

/* ---- the machine ---- */

/* Regions by address, adjoining or not, in the image in an order of the input's. */
static void lay_out(struct fuzz_input *in)
{
	uint64_t va = BASE;
	size_t n = 1 + fuzz_take(in, 1) % REGIONS;
	size_t turn = fuzz_take(in, 1);

	for (size_t i = 0; i < n; i++) {
		uint64_t how = fuzz_take(in, 1);
		uint64_t unit = how % 8 == 7 ? H : P;
		uint64_t count = how % 8 == 7 ? 1 : 1 + how;

		va = (va + (how & 64 ? 3 * P : 0) + unit - 1) / unit * unit;
		regions.at[i] = (struct region){.va = va, .size = count * unit, .page_size = unit};
		va += count * unit;
	}
	regions.n = n;
	end_va = va;
	npages = 0;
	for (size_t i = 0; i < n; i++) {
		struct region *r = &regions.at[(i + turn) % n];

		r->off = npages * P;
		npages += r->size / P;
	}
	fuzz_must(npages <= PAGES_MOST, "too many pages");
	fuzz_must(regions_check(&regions, npages * P) == 0, "bad regions");
}

static void make_holes(struct fuzz_input *in)
{
	for (size_t i = fuzz_take(in, 1) % 8; i > 0; i--) {
		uint64_t first = fuzz_take(in, 2) % npages;
		uint64_t count = fuzz_take(in, 2) % (npages - first + 1);

		bitmap_set(&zero, first, count);
		for (uint64_t p = first; p < first + count; p++)
			pages[p].zero = true;
	}
}

static void fresh(struct fuzz_input *in)
{
	memset(pages, 0, sizeof(pages));
	memset(zero_words, 0, sizeof(zero_words));
	memset(removed_words, 0, sizeof(removed_words));
	faults = outside = 0;
	lay_out(in);
	zero.bits = removed.bits = npages;
	make_holes(in);
	batch_init(&batch);
}

static const struct region *region_of(uint64_t va)
{
	for (size_t i = 0; i < regions.n; i++)
		if (va >= regions.at[i].va && va < regions.at[i].va + regions.at[i].size)
			return &regions.at[i];
	return NULL;
}

static uint64_t pgno_of(const struct region *r, uint64_t va)
{
	return (r->off + (va - r->va) / r->page_size * r->page_size) / P;
}

/* ---- the steps ---- */

static void fault(uint64_t va, uint64_t since_ns)
{
	const struct region *r = region_of(va);
	struct page *page;

	fuzz_must(batch_add(&batch, va, since_ns) == 0, "out of memory");
	faults++;
	if (!r) {
		outside++;
		return;
	}
	page = &pages[pgno_of(r, va)];
	page->since_ns = page->faulted ? MIN(page->since_ns, since_ns) : since_ns;
	page->faulted = true;
}

/* As a session applies it; the oracle page by page: all of it or nothing. */
static void removal(uint64_t start, uint64_t end)
{
	for (const struct region *r = regions.at; r < regions_end(&regions); r++) {
		uint64_t va = 0;
		uint64_t len = region_clip(r, start, end, &va);

		if (len > 0)
			bitmap_set(&removed, region_off(r, va) / P, len / P);
		for (va = r->va; va < r->va + r->size; va += r->page_size)
			for (uint64_t i = 0; i < r->page_size / P; i++)
				if (va >= start && va + r->page_size <= end)
					pages[pgno_of(r, va) + i].removed = true;
	}
}

static enum run_kind kind_of(const struct region *r, uint64_t va)
{
	bool all_removed = true;
	bool all_zero = true;

	for (uint64_t i = 0; i < r->page_size / P; i++) {
		all_removed &= pages[pgno_of(r, va) + i].removed;
		all_zero &= pages[pgno_of(r, va) + i].zero;
	}
	return all_removed ? RUN_REMOVED : all_zero ? RUN_ZERO : RUN_DATA;
}

static void check_run(const struct run *run)
{
	const struct region *r = region_of(run->va);
	uint64_t since_ns = UINT64_MAX;

	fuzz_must(r != NULL, "a run in no region");
	fuzz_must(run->len > 0 && run->len % run->page_size == 0, "a run of no pages");
	fuzz_must(run->va + run->len <= r->va + r->size, "a run of two regions");
	fuzz_must(run->page_size == r->page_size && (run->va - r->va) % r->page_size == 0,
		  "a run not of the region's pages");
	fuzz_must(run->off == r->off + (run->va - r->va), "a run of other bytes");
	fuzz_must(run->len <= BATCH_RUN_MOST || run->len == run->page_size, "a run too long");
	for (uint64_t va = run->va; va < run->va + run->len; va += r->page_size) {
		struct page *page = &pages[pgno_of(r, va)];

		fuzz_must(page->faulted, "a page nobody waits for, or twice");
		fuzz_must(kind_of(r, va) == run->kind, "a page of another kind");
		since_ns = MIN(since_ns, page->since_ns);
		page->faulted = false;
	}
	fuzz_must(run->since_ns == since_ns, "another begin of the wait");
}

static void check_neighbours(const struct run *a, const struct run *b)
{
	fuzz_must(a->va + a->len <= b->va, "runs not by address");
	fuzz_must(a->va + a->len < b->va || region_of(a->va) != region_of(b->va) ||
			  a->kind != b->kind || a->len + b->page_size > BATCH_RUN_MOST,
		  "two runs that are one");
}

static void plan(struct fuzz_input *in)
{
	size_t found = 0;

	fuzz_must(batch_plan(&batch, &states) == 0, "out of memory");
	for (size_t i = 0; i < batch.nruns; i++) {
		check_run(&batch.runs[i]);
		if (i > 0)
			check_neighbours(&batch.runs[i - 1], &batch.runs[i]);
		found += batch.runs[i].len / batch.runs[i].page_size;
	}
	for (uint64_t p = 0; p < npages; p++)
		fuzz_must(!pages[p].faulted, "a fault was lost");
	fuzz_must(batch.npages == found && batch.nfaults == 0, "pages miscounted");
	fuzz_must(batch.outside == outside, "faults outside miscounted");
	fuzz_must(!outside || !region_of(batch.outside_va), "the fault outside is inside");
	fuzz_must(batch.duplicates == faults - outside - found, "duplicates miscounted");
	faults = outside = 0;
	for (size_t i = 0; i < batch.nruns; i++) {
		const struct run *run = &batch.runs[i];
		uint64_t units = run->len / run->page_size;
		uint64_t done = fuzz_take(in, 1) % (units + 1);
		uint64_t va = run->va + done * run->page_size;

		if (in->left == 0)
			continue;
		batch_keep(&batch, run, va);
		faults += units - done;
		for (; va < run->va + run->len; va += run->page_size) {
			pages[pgno_of(region_of(va), va)].faulted = true;
			pages[pgno_of(region_of(va), va)].since_ns = run->since_ns;
		}
	}
}

static void check_run_at(uint64_t va, uint64_t most)
{
	const struct region *r = region_of(va);
	uint64_t len = 0;
	struct run run;

	if (!r)
		return;
	va -= (va - r->va) % r->page_size;
	run = batch_run_at(&states, r, va, most);
	while (va + len < r->va + r->size && kind_of(r, va + len) == run.kind &&
	       (len == 0 || len + r->page_size <= most))
		len += r->page_size;
	fuzz_must(run.va == va && run.len == len && run.kind == kind_of(r, va) &&
			  run.off == r->off + (va - r->va) && run.page_size == r->page_size,
		  "batch_run_at");
}

/* An address in or just beside the regions. */
static uint64_t address(struct fuzz_input *in)
{
	return BASE - P + fuzz_take(in, 3) * 64 % (end_va - BASE + 2 * P);
}

static void step(struct fuzz_input *in)
{
	uint64_t how = fuzz_take(in, 1);
	uint64_t va = address(in);

	if (how < 128) {
		fault(va, how);
	} else if (how < 192) { /* many in a row */
		for (uint64_t i = 0; i < how; i++)
			fault(va + i * P, how + i % 3);
	} else if (how < 224) {
		va = va / P * P;
		removal(va, va + fuzz_take(in, 2) % 2048 * P);
	} else if (how < 240) {
		check_run_at(va, fuzz_take(in, 1) * P);
	} else {
		plan(in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.bytes = data, .left = size};

	if (size > INPUT_MOST)
		return 0;
	fresh(&in);
	while (in.left > 0)
		step(&in);
	plan(&in);
	batch_done(&batch);
	return 0;
}
