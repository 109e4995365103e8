/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolved and proved maps of sealed snapshots, shared by the threads of a process.
 *
 * A sealed snapshot never changes and its id is never used again, so a map once
 * proved stays right. The cache keeps the maps last used, bounded by their size;
 * one that is in use stays valid for its user when the cache lets it go.
 */
#ifndef PAGODA_DB_MAP_CACHE_H
#define PAGODA_DB_MAP_CACHE_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/map.h"

/* The two maps of a snapshot; immutable but for the count of users. */
struct maps {
	uint64_t id;
	struct map *mem;    /* owned: the merged image */
	struct map *layer;  /* owned: this layer alone; of a base the same as mem */
	unsigned int users; /* protected by the mutex of the cache */
};

/* Takes ownership of the maps, also on failure. */
int maps_new(uint64_t id, struct map *mem, struct map *layer, struct maps **ret) MUST_CHECK;

struct map_cache;

int map_cache_new(struct map_cache **ret) MUST_CHECK;
void map_cache_free(struct map_cache *cache);

/* The maps of that snapshot, in use until map_cache_put; NULL where not cached. */
struct maps *map_cache_find(struct map_cache *cache, uint64_t id);

/* Gives maps to the cache; returns those to use in their place, which are other
 * ones where another thread was faster. Put them back as found ones. */
struct maps *map_cache_add(struct map_cache *cache, struct maps *maps);

void map_cache_put(struct map_cache *cache, struct maps *maps);

#endif
