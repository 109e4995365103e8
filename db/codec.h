/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codecs: how the block of a page is compressed. LZ4 is always there; zstd only
 * where the program was built with it.
 *
 * Any thread. zstd works in contexts, one for either direction a thread that uses it:
 * some 100 KiB to decode, 90 KiB to encode and 270 KiB to do so thoroughly, freed with the thread.
 * Nothing that a block says makes them grow.
 */
#ifndef PAGODA_DB_CODEC_H
#define PAGODA_DB_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/* The numbers stand in page rows: see db/schema.sql. */
enum codec {
	CODEC_LZ4 = 0,
	CODEC_ZSTD = 1,
};

#define CODECS 2

/* How hard to look for a short block. LZ4 knows one way. */
enum codec_effort {
	CODEC_QUICK,	/* somebody waits */
	CODEC_THOROUGH, /* for what is seldom written and kept for long */
};

/* "lz4", "zstd". */
const char *codec_name(enum codec codec);

/* -EINVAL, with words, where there is no codec of that name, or this program was built
 * without it. */
int codec_find(const char *name, enum codec *ret) MUST_CHECK;

/* Encodes PAGE_BYTES into packed, which has room for room bytes. 0 and *ret_length; 0
 * bytes where it does not fit. -ENOMEM; -EPROTONOSUPPORT where the program has no such
 * codec. */
int codec_encode(enum codec codec, enum codec_effort effort, const void *plain, void *packed,
		 size_t room, size_t *ret_length) MUST_CHECK;

/* Decodes a block to PAGE_BYTES. -EBADMSG where it is no block of a page, -ENOMEM,
 * -EPROTONOSUPPORT where the program has no such codec. No proof of the bytes: for
 * db/page.c alone. */
int codec_decode(enum codec codec, const void *packed, size_t length, void *plain) MUST_CHECK;

#endif
