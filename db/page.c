/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/page.h"

#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
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

size_t page_encode(const void *plain, void *packed)
{
	int n = LZ4_compress_default(plain, packed, PAGE_BYTES, PAGE_BYTES - 1);

	if (n > 0)
		return (size_t)n;
	memcpy(packed, plain, PAGE_BYTES);
	return PAGE_BYTES;
}

/* LZ4 is no check: three of four flipped bits still decode to 4096 wrong bytes. */
int page_decode(const void *packed, size_t length, uint64_t hash, void *plain)
{
	uint64_t found;

	if (length == PAGE_BYTES)
		memcpy(plain, packed, PAGE_BYTES);
	else if (LZ4_decompress_safe(packed, plain, (int)length, PAGE_BYTES) != PAGE_BYTES)
		return fail_with(-EBADMSG, "does not decode to a page");
	found = page_hash(plain);
	if (found != hash)
		return fail_with(-EBADMSG, "its hash is %016" PRIx64 ", %016" PRIx64 " was stored",
				 found, hash);
	return 0;
}

bool page_row_is_sane(const struct page_row *row)
{
	return row->length > 0 && row->length <= PAGE_BYTES && row->pack > 0 &&
	       row->offset >= PACK_HEADER_BYTES && row->offset < PACK_BYTES_LIMIT;
}
