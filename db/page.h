/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page: encoding, decoding, hash. Pure functions; any thread.
 */
#ifndef PAGODA_DB_PAGE_H
#define PAGODA_DB_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/codec.h"
#include "db/store.h"

/* A page as the index describes it. */
struct page_row {
	uint64_t hash;	 /* XXH3-64 of the plain page */
	uint64_t offset; /* bytes, in the pack */
	uint32_t pack;
	uint16_t length; /* bytes; PAGE_BYTES: stored plain; 0: no such row */
	uint16_t codec;	 /* enum codec; CODEC_LZ4 where stored plain */
};

uint64_t page_hash(const void *plain);

bool page_is_zero(const void *plain);

/* Encodes a page into packed, which has room for PAGE_BYTES; row gets length and codec:
 * a page that does not compress is stored plain. With CODEC_LZ4 it cannot fail, else
 * -ENOMEM and -EPROTONOSUPPORT. */
int page_encode(enum codec codec, enum codec_effort effort, const void *plain, void *packed,
		struct page_row *row) MUST_CHECK;

/* Decodes length bytes (of a sane row, or 1 to PAGE_BYTES) and proves the page against
 * its hash. -EBADMSG with words if it is anything else; plain then holds garbage.
 * -EPROTONOSUPPORT where this program was built without the codec, -ENOMEM. */
int page_decode(enum codec codec, const void *packed, size_t length, uint64_t hash,
		void *plain) MUST_CHECK;

/* Does the block of that sane row hold these bytes? No hash is computed: where bytes are
 * the same, theirs is that of the page compared with. A block that does not decode
 * holds others. */
bool page_block_holds(const struct page_row *row, const void *packed, const void *plain);

/* The column `length` of the index: bytes and codec in one number. */
static inline uint64_t page_row_length(const struct page_row *row)
{
	return row->length | (uint64_t)row->codec << 16;
}

/* Could a page lie there? Lengths and offsets that no pack has are refused before
 * anything is allocated or read for them. */
bool page_row_is_sane(const struct page_row *row);

#endif
