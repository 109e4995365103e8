/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digest against the definition in db/digest.h, written out a second time.
 */
#include "config.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "db/digest.h"
#include "db/store.h"
#include "tests/unit.h"

struct piece {
	enum run_kind kind;
	uint64_t count;
};

static const struct piece pieces[] = {
	{RUN_ZERO, 1},	  {RUN_DATA, 3},     {RUN_ZERO, 5000}, {RUN_ABSENT, 1024},
	{RUN_DATA, 1},	  {RUN_ABSENT, 7},   {RUN_ZERO, 1023}, {RUN_DATA, 1021},
	{RUN_ZERO, 4096}, {RUN_ABSENT, 100}, {RUN_ZERO, 2},
};

static uint64_t hash_of(uint64_t pgno)
{
	return pgno * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t put(uint8_t *to, const void *bytes, size_t n)
{
	memcpy(to, bytes, n);
	return n;
}

START_TEST(the_digest_is_what_is_documented)
{
	static const uint8_t kinds[] = {[RUN_ZERO] = 0, [RUN_DATA] = 1, [RUN_ABSENT] = 2};
	AUTO(digest_free_at) struct digest *digest = NULL;
	uint8_t *text = malloc(20000 * 9 + 16);
	uint8_t result[DIGEST_BYTES];
	XXH128_canonical_t wanted;
	uint64_t pgno = 0;
	size_t len = 0;
	uint64_t number;

	ck_assert_int_eq(digest_new(&digest), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		for (uint64_t n = 0; n < pieces[i].count; n++, pgno++) {
			bool data = pieces[i].kind == RUN_DATA;

			len += put(text + len, &kinds[pieces[i].kind], 1);
			number = htole64(data ? hash_of(pgno) : 0);
			len += put(text + len, &number, 8);
			if (data)
				digest_add_data(digest, hash_of(pgno));
		}
		if (pieces[i].kind != RUN_DATA)
			digest_add_run(digest, pieces[i].kind, pieces[i].count);
	}
	number = htole64(pgno * PAGE_BYTES);
	len += put(text + len, &number, 8);
	number = htole64(PAGE_BYTES);
	len += put(text + len, &number, 8);
	digest_finish(digest, pgno * PAGE_BYTES, result);
	XXH128_canonicalFromHash(&wanted, XXH3_128bits(text, len));
	ck_assert_mem_eq(result, &wanted, DIGEST_BYTES);
	free(text);
}
END_TEST

UNIT_MAIN("digest", the_digest_is_what_is_documented)
