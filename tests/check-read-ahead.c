/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is announced of a pack: the bytes behind who reads in order, each once, never
 * more than the bound beyond what was asked for; of other reads nothing.
 */
#include "config.h"

#include "base/attributes.h"
#include "db/read-ahead.h"
#include "tests/unit.h"

#define SPAN 100000U
#define PACK 7U

static struct read_ahead ahead;

static struct read_stretch next(uint64_t off)
{
	struct read_stretch stretch = read_ahead_next(&ahead, PACK, off, SPAN);

	if (stretch.len > 0) {
		ck_assert_uint_ge(stretch.off, off + SPAN);
		ck_assert_uint_le(stretch.off + stretch.len, off + SPAN + READ_AHEAD_BYTES);
	}
	return stretch;
}

/* Reads spans in order from off on: how far it was announced, without a gap. */
static uint64_t read_in_order(uint64_t off, size_t spans)
{
	uint64_t until = 0;

	for (size_t i = 0; i < spans; i++, off += SPAN) {
		struct read_stretch stretch = next(off);

		if (stretch.len == 0)
			continue;
		if (until > 0)
			ck_assert_uint_eq(stretch.off, MAX(until, off + SPAN));
		until = stretch.off + stretch.len;
	}
	return until;
}

START_TEST(in_order_all_is_announced_once)
{
	uint64_t end = 64 + 50 * SPAN;
	uint64_t until;

	ahead = (struct read_ahead){.pack = 0};
	until = read_in_order(64, 50);
	ck_assert_uint_ge(until, end + READ_AHEAD_BYTES / 2);
	ck_assert_uint_le(until, end + READ_AHEAD_BYTES);
}
END_TEST

START_TEST(it_begins_small)
{
	ahead = (struct read_ahead){.pack = 0};
	ck_assert_uint_eq(next(64).len, 0);
	ck_assert_uint_gt(next(64 + SPAN).len, 0);
	ck_assert_uint_le(ahead.window, READ_AHEAD_BYTES / 4);
}
END_TEST

START_TEST(a_jump_announces_nothing)
{
	ahead = (struct read_ahead){.pack = 0};
	(void)read_in_order(64, 50);
	ck_assert_uint_eq(next(UINT64_C(1) << 30).len, 0);
	ck_assert_uint_eq(next(64).len, 0); /* backwards */
	ck_assert_uint_gt(next(64 + SPAN).len, 0);
	ck_assert_uint_le(ahead.window, READ_AHEAD_BYTES / 4); /* from the start again */
	ck_assert_uint_eq(read_ahead_next(&ahead, PACK + 1, 64 + 2 * SPAN, SPAN).len, 0);
}
END_TEST

/* Several threads read one stretch, each a part of it. */
START_TEST(what_others_read_is_skipped_and_not_announced_again)
{
	uint64_t until;
	uint64_t skipped;

	ahead = (struct read_ahead){.pack = 0};
	until = read_in_order(64, 50);
	skipped = until - SPAN;
	ck_assert_uint_eq(next(skipped).len, 0);
	ck_assert_uint_eq(next(skipped + SPAN).off, until + SPAN);
}
END_TEST

UNIT_MAIN("read-ahead", in_order_all_is_announced_once, it_begins_small, a_jump_announces_nothing,
	  what_others_read_is_skipped_and_not_announced_again)
