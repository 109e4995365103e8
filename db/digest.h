/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digest of a map: proves that every guest page is the right page, which the
 * hash of a page alone does not.
 *
 * XXH3-128, canonical, over, page by page in order, a kind byte (0 zero, 1 data,
 * 2 absent) and 8 bytes, the hash of a data page or zeros; then the image's size
 * and page_size, 8 bytes each: last, because an import from a pipe learns its size
 * last. Integers are little-endian. A struct digest is used by one thread.
 */
#ifndef PAGODA_DB_DIGEST_H
#define PAGODA_DB_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/catalog.h"
#include "db/index.h"
#include "db/map.h"

struct digest;

int digest_new(struct digest **ret) MUST_CHECK;
void digest_free(struct digest *digest);
DEFINE_AUTO(struct digest *, digest_free)

/* The next count pages, none of which is data. */
void digest_add_run(struct digest *digest, enum run_kind kind, uint64_t count);

/* The next page, which is data. */
void digest_add_data(struct digest *digest, uint64_t hash);

/* Of an image of size bytes. */
void digest_finish(struct digest *digest, uint64_t size, uint8_t result[DIGEST_BYTES]);

/* The next count pages, which are those of the map from first on, with the hashes the
 * index has now; *data grows by those that are data. -EBADMSG where a page row is
 * missing or is none. */
int digest_add_map(struct digest *digest, struct index *index, const struct map *map,
		   uint64_t first, uint64_t count, uint64_t *data) MUST_CHECK;

/* The digest of a whole map, with the hashes the index has now; *ret_data counts
 * its data pages. Errors of digest_add_map. */
int digest_map(struct index *index, const struct map *map, uint8_t result[DIGEST_BYTES],
	       uint64_t *ret_data) MUST_CHECK;

#endif
