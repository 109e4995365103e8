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
#include "db/store.h"

/* A page as the index describes it. */
struct page_row {
	uint64_t hash;	 /* XXH3-64 of the plain page */
	uint64_t offset; /* bytes, in the pack */
	uint32_t pack;
	uint32_t length; /* bytes; PAGE_BYTES: stored plain; 0: no such row */
};

uint64_t page_hash(const void *plain);

bool page_is_zero(const void *plain);

/* Encodes a page into packed, which has room for PAGE_BYTES; returns the length,
 * PAGE_BYTES where it does not compress. */
size_t page_encode(const void *plain, void *packed);

/* Decodes length bytes and proves the page against its hash. -EBADMSG with words
 * if it is anything else; plain then holds garbage. */
int page_decode(const void *packed, size_t length, uint64_t hash, void *plain) MUST_CHECK;

/* Could a page lie there? Lengths and offsets that no pack has are refused before
 * anything is allocated or read for them. */
bool page_row_is_sane(const struct page_row *row);

#endif
