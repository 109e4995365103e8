/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file STORE/generation: how many commits the index must hold.
 *
 * SQLite's own checks do not notice that the last commits are gone (a damaged or
 * missing -wal file, an old index.db put back). So the count stands once more
 * outside the index, written after each commit that changes what exists.
 */
#ifndef PAGODA_DB_GENERATION_H
#define PAGODA_DB_GENERATION_H

#include <stdint.h>

#include "base/attributes.h"
#include "db/store.h"

/* -EBADMSG where the file is missing or is not what was written. */
int generation_read(const char *store_path, uint8_t ret_uuid[STORE_UUID_BYTES],
		    uint64_t *ret_generation) MUST_CHECK;

/* Durable on return. With the writer lock held. */
int generation_write(const char *store_path, const uint8_t uuid[STORE_UUID_BYTES],
		     uint64_t generation) MUST_CHECK;

#endif
