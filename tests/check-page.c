/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
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

static bool is_missing(enum codec codec)
{
	enum codec found;

	return codec_find(codec_name(codec), &found) < 0;
}

static void survive(enum codec codec)
{
	char plain[PAGE_BYTES];
	char packed[PAGE_BYTES];
	char again[PAGE_BYTES];

	for (unsigned int seed = 0; seed < 50; seed++) {
		struct page_row row;

		if (seed % 2)
			fill_text(plain, seed);
		else
			fill_noise(plain, seed);
		ck_assert_int_eq(page_encode(codec, CODEC_QUICK, plain, packed, &row), 0);
		ck_assert_uint_le(row.length, PAGE_BYTES);
		ck_assert(seed % 2 ? row.length < PAGE_BYTES / 2 : row.length == PAGE_BYTES);
		ck_assert_int_eq(row.codec, seed % 2 ? codec : CODEC_LZ4);
		ck_assert_int_eq(
			page_decode(row.codec, packed, row.length, page_hash(plain), again), 0);
		ck_assert_int_eq(memcmp(plain, again, PAGE_BYTES), 0);
	}
}

START_TEST(pages_survive_encoding)
{
	for (enum codec codec = 0; codec < CODECS; codec++)
		if (!is_missing(codec))
			survive(codec);
}
END_TEST

static void flip(enum codec codec)
{
	char plain[PAGE_BYTES];
	char packed[PAGE_BYTES];
	char again[PAGE_BYTES];
	struct page_row row;
	unsigned int noticed = 0;
	uint64_t hash;

	fill_text(plain, 3);
	hash = page_hash(plain);
	ck_assert_int_eq(page_encode(codec, CODEC_QUICK, plain, packed, &row), 0);
	for (size_t bit = 0; bit < 8U * row.length; bit++) {
		int r;

		packed[bit / 8] ^= (char)(1 << bit % 8);
		r = page_decode(row.codec, packed, row.length, hash, again);
		noticed += r == -EBADMSG;
		/* another block may decode to the very same page; nothing else may */
		if (r == 0)
			ck_assert_int_eq(memcmp(plain, again, PAGE_BYTES), 0);
		packed[bit / 8] ^= (char)(1 << bit % 8);
	}
	ck_assert_uint_gt(noticed, 7U * row.length);
	fill_noise(plain, 4);
	hash = page_hash(plain);
	for (size_t bit = 0; bit < 8 * PAGE_BYTES; bit += 7) {
		plain[bit / 8] ^= (char)(1 << bit % 8);
		ck_assert_int_eq(page_decode(CODEC_LZ4, plain, PAGE_BYTES, hash, again), -EBADMSG);
		plain[bit / 8] ^= (char)(1 << bit % 8);
	}
}

START_TEST(no_flipped_bit_gets_through)
{
	for (enum codec codec = 0; codec < CODECS; codec++)
		if (!is_missing(codec))
			flip(codec);
}
END_TEST

static void cut_and_pad(enum codec codec)
{
	char plain[PAGE_BYTES];
	char packed[PAGE_BYTES] = {0};
	char again[PAGE_BYTES];
	struct page_row row;

	fill_text(plain, 5);
	ck_assert_int_eq(page_encode(codec, CODEC_QUICK, plain, packed, &row), 0);
	for (size_t n = 1; n < MIN(row.length + 20U, (size_t)PAGE_BYTES); n++)
		if (n != row.length)
			ck_assert_int_eq(page_decode(row.codec, packed, n, page_hash(plain), again),
					 -EBADMSG);
}

START_TEST(cut_and_padded_blocks_are_refused)
{
	for (enum codec codec = 0; codec < CODECS; codec++)
		if (!is_missing(codec))
			cut_and_pad(codec);
}
END_TEST

/* Stores written before have zstd blocks that name the size of the page. */
START_TEST(blocks_that_name_their_size_are_read)
{
	static const unsigned char unnamed[] = {0x00, 0x10};
	static const unsigned char named[] = {0x60, 0x00, 0x0f};
	char plain[PAGE_BYTES];
	char packed[PAGE_BYTES];
	char former[PAGE_BYTES];
	char again[PAGE_BYTES];
	struct page_row row;

	if (is_missing(CODEC_ZSTD))
		return;
	fill_text(plain, 7);
	ck_assert_int_eq(page_encode(CODEC_ZSTD, CODEC_QUICK, plain, packed, &row), 0);
	ck_assert_int_eq(memcmp(packed, unnamed, sizeof(unnamed)), 0);
	memcpy(former, named, sizeof(named));
	memcpy(former + sizeof(named), packed + sizeof(unnamed), row.length - sizeof(unnamed));
	ck_assert_int_eq(page_decode(CODEC_ZSTD, former, row.length + 1U, page_hash(plain), again),
			 0);
	ck_assert_int_eq(memcmp(plain, again, PAGE_BYTES), 0);
}
END_TEST

/* As code is: sequences of three bytes that come again, and others between them. */
static void fill_code(char page[PAGE_BYTES], unsigned int seed)
{
	char known[32][3];

	fill_noise(page, seed);
	memcpy(known, page, sizeof(known));
	for (size_t at = sizeof(known); at + 4 <= PAGE_BYTES; at += 4)
		memcpy(page + at, known[rand() % 32], 3);
}

START_TEST(thorough_blocks_are_smaller)
{
	size_t quick = 0;
	size_t thorough = 0;

	for (unsigned int seed = 0; !is_missing(CODEC_ZSTD) && seed < 50; seed++) {
		char plain[PAGE_BYTES];
		char packed[PAGE_BYTES];
		char again[PAGE_BYTES];
		struct page_row row;

		fill_code(plain, seed);
		ck_assert_int_eq(page_encode(CODEC_ZSTD, CODEC_THOROUGH, plain, packed, &row), 0);
		ck_assert_int_eq(
			page_decode(CODEC_ZSTD, packed, row.length, page_hash(plain), again), 0);
		ck_assert_int_eq(memcmp(plain, again, PAGE_BYTES), 0);
		thorough += row.length;
		ck_assert_int_eq(page_encode(CODEC_ZSTD, CODEC_QUICK, plain, packed, &row), 0);
		quick += row.length;
	}
	ck_assert_uint_le(thorough, quick - quick / 100);
}
END_TEST

/* The block of one codec is never taken for one of the other, and what begins with a
 * whole zstd frame, or one that says nothing, is no block. */
START_TEST(blocks_of_another_codec_are_refused)
{
	static const unsigned char magic[] = {0x28, 0xb5, 0x2f, 0xfd};
	static const unsigned char skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
	char plain[PAGE_BYTES];
	char packed[PAGE_BYTES];
	char wrapped[2 * PAGE_BYTES];
	char again[PAGE_BYTES];
	struct page_row row;
	size_t len;

	fill_text(plain, 6);
	ck_assert_int_eq(page_encode(CODEC_LZ4, CODEC_QUICK, plain, packed, &row), 0);
	if (is_missing(CODEC_ZSTD)) { /* and that is not damage */
		ck_assert_int_eq(
			page_decode(CODEC_ZSTD, packed, row.length, page_hash(plain), again),
			-EPROTONOSUPPORT);
		ck_assert_ptr_nonnull(strstr(fail_text(-EPROTONOSUPPORT), "without libzstd"));
		ck_assert_int_eq(page_encode(CODEC_ZSTD, CODEC_QUICK, plain, packed, &row),
				 -EPROTONOSUPPORT);
		return;
	}
	ck_assert_int_eq(page_decode(CODEC_ZSTD, packed, row.length, page_hash(plain), again),
			 -EBADMSG);
	ck_assert_int_eq(page_encode(CODEC_ZSTD, CODEC_QUICK, plain, packed, &row), 0);
	len = row.length;
	ck_assert_int_eq(page_decode(CODEC_LZ4, packed, len, page_hash(plain), again), -EBADMSG);
	ck_assert_int_eq(page_decode(CODEC_ZSTD, plain, PAGE_BYTES, page_hash(plain), again),
			 -EBADMSG);
	memcpy(wrapped, magic, sizeof(magic));
	memcpy(wrapped + sizeof(magic), packed, len);
	ck_assert_int_eq(
		page_decode(CODEC_ZSTD, wrapped, len + sizeof(magic), page_hash(plain), again),
		-EBADMSG);
	memcpy(wrapped, packed, len);
	memcpy(wrapped + len, skippable, sizeof(skippable));
	ck_assert_int_eq(
		page_decode(CODEC_ZSTD, wrapped, len + sizeof(skippable), page_hash(plain), again),
		-EBADMSG);
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
	row.codec = CODEC_ZSTD; /* what does not compress is stored plain */
	ck_assert(!page_row_is_sane(&row));
	row.length = PAGE_BYTES - 1;
	ck_assert(page_row_is_sane(&row));
	row.codec = CODECS;
	ck_assert(!page_row_is_sane(&row));
	row.codec = CODEC_LZ4;
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
	  cut_and_padded_blocks_are_refused, blocks_of_another_codec_are_refused,
	  blocks_that_name_their_size_are_read, thorough_blocks_are_smaller,
	  zero_is_told_from_almost_zero, impossible_rows_are_refused)
