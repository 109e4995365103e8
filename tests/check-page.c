/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "db/pack.h"
#include "db/page.h"
#include "tests/unit.h"

/* Text-like: compresses to about a third. */
static void fill_text(char page[PAGE_BYTES], unsigned int seed)
{
	static const char *const words[] = {"memory ", "snapshot ", "of ", "a ", "machine\n"};
	size_t at = 0;

	srand(seed);
	while (at < PAGE_BYTES) {
		const char *word = words[rand() % 5];
		size_t n = MIN(strlen(word), PAGE_BYTES - at);

		memcpy(page + at, word, n);
		at += n;
	}
}

static void fill_noise(char page[PAGE_BYTES], unsigned int seed)
{
	srand(seed);
	for (size_t i = 0; i < PAGE_BYTES; i++)
		page[i] = (char)rand();
}

START_TEST(pages_survive_encoding)
{
	char plain[PAGE_BYTES];
	char packed[PAGE_BYTES];
	char again[PAGE_BYTES];

	for (unsigned int seed = 0; seed < 50; seed++) {
		size_t len;

		if (seed % 2)
			fill_text(plain, seed);
		else
			fill_noise(plain, seed);
		len = page_encode(plain, packed);
		ck_assert_uint_le(len, PAGE_BYTES);
		ck_assert(seed % 2 ? len < PAGE_BYTES / 2 : len == PAGE_BYTES);
		ck_assert_int_eq(page_decode(packed, len, page_hash(plain), again), 0);
		ck_assert_int_eq(memcmp(plain, again, PAGE_BYTES), 0);
	}
}
END_TEST

START_TEST(no_flipped_bit_gets_through)
{
	char plain[PAGE_BYTES];
	char packed[PAGE_BYTES];
	char again[PAGE_BYTES];
	size_t len;
	uint64_t hash;

	fill_text(plain, 3);
	hash = page_hash(plain);
	len = page_encode(plain, packed);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		packed[bit / 8] ^= (char)(1 << bit % 8);
		/* another block may decode to the very same page; nothing else may */
		if (page_decode(packed, len, hash, again) == 0)
			ck_assert_int_eq(memcmp(plain, again, PAGE_BYTES), 0);
		packed[bit / 8] ^= (char)(1 << bit % 8);
	}
	fill_noise(plain, 4);
	hash = page_hash(plain);
	for (size_t bit = 0; bit < 8 * PAGE_BYTES; bit += 7) {
		plain[bit / 8] ^= (char)(1 << bit % 8);
		ck_assert_int_eq(page_decode(plain, PAGE_BYTES, hash, again), -EBADMSG);
		plain[bit / 8] ^= (char)(1 << bit % 8);
	}
}
END_TEST

START_TEST(cut_and_padded_blocks_are_refused)
{
	char plain[PAGE_BYTES];
	char packed[PAGE_BYTES] = {0};
	char again[PAGE_BYTES];
	size_t len;

	fill_text(plain, 5);
	len = page_encode(plain, packed);
	for (size_t n = 1; n < MIN(len + 20, (size_t)PAGE_BYTES); n++)
		if (n != len)
			ck_assert_int_eq(page_decode(packed, n, page_hash(plain), again), -EBADMSG);
}
END_TEST

START_TEST(zero_is_told_from_almost_zero)
{
	char page[PAGE_BYTES] = {0};

	ck_assert(page_is_zero(page));
	for (size_t i = 0; i < PAGE_BYTES; i++) {
		page[i] = 1;
		ck_assert(!page_is_zero(page));
		page[i] = 0;
	}
}
END_TEST

START_TEST(impossible_rows_are_refused)
{
	struct page_row row = {.pack = 1, .offset = PACK_HEADER_BYTES, .length = 100};

	ck_assert(page_row_is_sane(&row));
	row.length = 0;
	ck_assert(!page_row_is_sane(&row));
	row.length = PAGE_BYTES + 1;
	ck_assert(!page_row_is_sane(&row));
	row.length = PAGE_BYTES;
	ck_assert(page_row_is_sane(&row));
	row.offset = PACK_HEADER_BYTES - 1;
	ck_assert(!page_row_is_sane(&row));
	row.offset = UINT64_MAX;
	ck_assert(!page_row_is_sane(&row));
	row.offset = PACK_HEADER_BYTES;
	row.pack = 0;
	ck_assert(!page_row_is_sane(&row));
}
END_TEST

UNIT_MAIN("page", pages_survive_encoding, no_flipped_bit_gets_through,
	  cut_and_padded_blocks_are_refused, zero_is_told_from_almost_zero,
	  impossible_rows_are_refused)
