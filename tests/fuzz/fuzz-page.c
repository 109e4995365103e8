/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding a block: 8 bytes of hash, then the block, as one of every codec. What
 * decodes has the hash.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "db/page.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char plain[PAGE_BYTES];
	uint64_t hash;

	if (size <= sizeof(hash) || size > sizeof(hash) + PAGE_BYTES)
		return 0;
	memcpy(&hash, data, sizeof(hash));
	for (enum codec codec = 0; codec < CODECS; codec++)
		if (page_decode(codec, data + sizeof(hash), size - sizeof(hash), hash, plain) ==
			    0 &&
		    page_hash(plain) != hash)
			abort();
	return 0;
}
