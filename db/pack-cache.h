/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open packs, shared by the threads of a process.
 *
 * Bounded. A pack that was removed is let go of at the next trim, and at the first get
 * of a second: so its space comes back although the process lives on.
 */
#ifndef PAGODA_DB_PACK_CACHE_H
#define PAGODA_DB_PACK_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/store.h"

struct pack_cache;
struct pack_slot;

/* A pack in use. */
struct pack_handle {
	int fd;
	struct pack_slot *slot; /* borrowed; NULL: the descriptor is of this handle */
};

int pack_cache_new(struct pack_cache **ret) MUST_CHECK;
void pack_cache_free(struct pack_cache *cache);

/* The pack, if it is open already, until put. */
bool pack_cache_find(const struct store *store, uint32_t number, struct pack_handle *ret);

/* The pack, open for reading until put. Errors of pack_open. */
int pack_cache_get(const struct store *store, uint32_t number, struct pack_handle *ret) MUST_CHECK;
void pack_cache_put(const struct store *store, struct pack_handle *handle);

/* Closes packs that are not in use: all of them, or those without a name left. */
void pack_cache_trim(const struct store *store, bool all);

#endif
