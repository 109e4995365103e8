/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/page.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "base/fail.h"
#include "db/pack.h"

/* A test builds the store with fewer bits, so that hashes collide. */
#ifndef PAGE_HASH_MASK
#define PAGE_HASH_MASK UINT64_MAX
#endif

uint64_t page_hash(const void *plain)
{
	return XXH3_64bits(plain, PAGE_BYTES) & PAGE_HASH_MASK;
}

bool page_is_zero(const void *plain)
{
	const char *bytes = plain;

	return bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE_BYTES - 1) == 0;
}

int page_encode(enum codec codec, enum codec_effort effort, const void *plain, void *packed,
		struct page_row *row)
{
	size_t length = 0;
	int r = codec_encode(codec, effort, plain, packed, PAGE_BYTES - 1, &length);

	if (r < 0)
		return r;
	row->codec = length > 0 ? codec : CODEC_LZ4;
	row->length = length > 0 ? (uint16_t)length : PAGE_BYTES;
	if (length == 0)
		memcpy(packed, plain, PAGE_BYTES);
	return 0;
}

/* No codec is a check: of LZ4 three of four flipped bits still decode to 4096 wrong
 * bytes. */
int page_decode(enum codec codec, const void *packed, size_t length, uint64_t hash, void *plain)
{
	uint64_t found;
	int r = 0;

	if (length == PAGE_BYTES && codec == CODEC_LZ4)
		memcpy(plain, packed, PAGE_BYTES);
	else
		r = codec_decode(codec, packed, length, plain);
	if (r < 0)
		return r;
	found = page_hash(plain);
	if (found != hash)
		return fail_with(-EBADMSG, "its hash is %016" PRIx64 ", %016" PRIx64 " was stored",
				 found, hash);
	return 0;
}

bool page_block_holds(const struct page_row *row, const void *packed, const void *plain)
{
	char decoded[PAGE_BYTES];

	if (row->length == PAGE_BYTES && row->codec == CODEC_LZ4)
		return memcmp(packed, plain, PAGE_BYTES) == 0;
	return codec_decode(row->codec, packed, row->length, decoded) == 0 &&
	       memcmp(decoded, plain, PAGE_BYTES) == 0;
}

bool page_row_is_sane(const struct page_row *row)
{
	return row->length > 0 && row->length <= PAGE_BYTES && row->codec < CODECS &&
	       (row->length < PAGE_BYTES || row->codec == CODEC_LZ4) && row->pack > 0 &&
	       row->offset >= PACK_HEADER_BYTES && row->offset < PACK_BYTES_LIMIT;
}
