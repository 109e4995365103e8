/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of regions, against an oracle that compares every region with every
 * other in numbers that cannot wrap.
 *
 * Input: the size of the image, then the regions. The first byte of each number
 * says how it is made: mostly small multiples of a page, so that regions adjoin,
 * overlap and add up; else any 64 bits.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/fail.h"
#include "handler/regions.h"
#include "tests/fuzz/fuzz.h"

#define MOST 24
#define P REGIONS_PAGE
#define H REGIONS_HUGE_PAGE

__extension__ typedef unsigned __int128 wide; /* of sums */

static struct regions given;
static struct regions table;
static uint64_t image_size;

static uint64_t number(struct fuzz_input *in)
{
	uint8_t how = (uint8_t)fuzz_take(in, 1);
	uint64_t small = how >> 3;

	switch (how & 7) {
	case 0:
	case 1:
	case 2:
		return small * P;
	case 3:
		return small * H;
	case 4: /* where machines have their memory */
		return UINT64_C(0x7f0000000000) + small * P;
	case 5:
		return (UINT64_C(1) << 56) - small * P;
	case 6:
		return -(small * P);
	default:
		return fuzz_take(in, 8);
	}
}

static uint64_t page_size(struct fuzz_input *in)
{
	uint8_t how = (uint8_t)fuzz_take(in, 1);

	return how < 160 ? P : how < 240 ? H : number(in);
}

static void make(struct fuzz_input *in)
{
	bool add_up = fuzz_take(in, 1) & 1; /* offsets one behind the other */
	uint64_t off = 0;

	image_size = number(in);
	for (given.n = 0; given.n < MOST && in->left > 0; given.n++) {
		struct region *r = &given.at[given.n];

		r->va = number(in);
		r->size = number(in);
		r->page_size = page_size(in);
		r->off = add_up ? off : number(in);
		off += r->size;
	}
	if (add_up)
		image_size = off;
}

static bool one_is_good(const struct region *r)
{
	if (r->page_size != P && r->page_size != H)
		return false;
	return r->size > 0 && r->va % r->page_size == 0 && r->size % r->page_size == 0 &&
	       r->off % P == 0 && (wide)r->va + r->size <= (wide)1 << 56 &&
	       (wide)r->off + r->size <= image_size;
}

static bool meet(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return (wide)a < (wide)b + b_len && (wide)b < (wide)a + a_len;
}

/* Apart from each other and as many bytes as the image: then they are the image. */
static bool good(void)
{
	wide sum = 0;

	for (size_t i = 0; i < given.n; i++) {
		const struct region *a = &given.at[i];

		if (!one_is_good(a))
			return false;
		for (size_t j = 0; j < i; j++) {
			const struct region *b = &given.at[j];

			if (meet(a->va, a->size, b->va, b->size) ||
			    meet(a->off, a->size, b->off, b->size))
				return false;
		}
		sum += a->size;
	}
	return given.n > 0 && sum == image_size;
}

/* The same regions, by address. */
static void check_order(void)
{
	fuzz_must(table.n == given.n, "another number of regions");
	for (size_t i = 0; i < given.n; i++) {
		size_t found = 0;

		for (size_t j = 0; j < table.n; j++)
			found += memcmp(&given.at[i], &table.at[j], sizeof(given.at[i])) == 0;
		fuzz_must(found == 1, "a region was changed");
		fuzz_must(i == 0 || table.at[i - 1].va < table.at[i].va, "not by address");
	}
}

static void check_address(uint64_t va)
{
	const struct region *holds = NULL;
	const struct region *from = NULL;

	for (const struct region *r = table.at; r < table.at + table.n; r++) {
		if (va >= r->va && va - r->va < r->size)
			holds = r;
		if (va < r->va + r->size && (!from || r->va < from->va))
			from = r;
	}
	fuzz_must(regions_find(&table, va) == holds, "regions_find");
	fuzz_must(regions_from(&table, va) == from, "regions_from");
	if (!holds)
		return;
	fuzz_must(region_off(holds, va) < image_size, "an offset beyond the image");
	fuzz_must(region_page(holds, va) <= va && va - region_page(holds, va) < holds->page_size &&
			  region_page(holds, va) % holds->page_size == 0,
		  "region_page");
}

/* Whole pages, all that there are between the two. */
static void check_clip(const struct region *r, uint64_t start, uint64_t end)
{
	uint64_t first = start > r->va ? start : r->va;
	uint64_t last = end < r->va + r->size ? end : r->va + r->size;
	uint64_t va = ~UINT64_C(0);
	uint64_t len = region_clip(r, start, end, &va);

	if (len == 0) {
		uint64_t page = region_page(r, first + r->page_size - 1);

		fuzz_must(va == ~UINT64_C(0), "nothing, but an address");
		fuzz_must(first >= last || page + r->page_size > last, "a page was left out");
		return;
	}
	fuzz_must(va % r->page_size == 0 && len % r->page_size == 0, "clipped to no page");
	fuzz_must(va >= first && va + len <= last, "clipped to more than was asked");
	fuzz_must(va - first < r->page_size && last - (va + len) < r->page_size,
		  "clipped to less than was asked");
}

static void check_lookups(struct fuzz_input *in)
{
	uint64_t largest = P;
	uint64_t start = number(in);
	uint64_t end = number(in);

	for (const struct region *r = table.at; r < table.at + table.n; r++) {
		uint64_t after = r->va + r->size;

		largest = r->page_size > largest ? r->page_size : largest;
		check_address(r->va - 1);
		check_address(r->va);
		check_address(r->va + r->size / 2 + 1);
		check_address(after - 1);
		check_address(after);
		check_clip(r, start, end);
		check_clip(r, 0, UINT64_MAX);
		check_clip(r, r->va + 1, after);
		check_clip(r, r->va, after - 1);
		check_clip(r, r->va + start % r->size, r->va + end % r->size);
	}
	fuzz_must(regions_page_largest(&table) == largest, "regions_page_largest");
	fuzz_must(regions_end(&table) == table.at + table.n, "regions_end");
	check_address(0);
	check_address(UINT64_MAX);
	check_address(start);
	check_address(end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.bytes = data, .left = size};
	struct fuzz_input again = in;
	int r;

	make(&in);
	table = given;
	r = regions_check(&table, image_size);
	fuzz_must((r == 0) == good(), r == 0 ? "taken" : fail_text(r));
	fuzz_must(r == 0 || r == -EINVAL, "another error");
	if (r < 0)
		return 0;
	check_order();
	check_lookups(&again);
	return 0;
}
