/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/map-cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

#define ENTRIES_MAX 256
#define BYTES_MAX (16U << 20) /* the last one used stays, whatever its size */

struct map_cache {
	pthread_mutex_t mutex;
	size_t n;			   /* protected by mutex */
	size_t bytes;			   /* protected by mutex */
	struct maps *entries[ENTRIES_MAX]; /* last used first; protected by mutex */
};

static size_t maps_bytes(const struct maps *maps)
{
	return sizeof(*maps) + map_bytes(maps->mem) +
	       (maps->layer != maps->mem ? map_bytes(maps->layer) : 0);
}

static void maps_free(struct maps *maps)
{
	map_free(maps->mem);
	map_free(maps->layer);
	free(maps);
}

int maps_new(uint64_t id, struct map *mem, struct map *layer, struct maps **ret)
{
	struct maps *maps = malloc(sizeof(*maps));

	if (!maps) {
		map_free(mem);
		map_free(layer);
		return fail_with(-ENOMEM, "out of memory");
	}
	*maps = (struct maps){.id = id, .mem = mem, .layer = layer};
	*ret = maps;
	return 0;
}

int map_cache_new(struct map_cache **ret)
{
	struct map_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return fail_with(-ENOMEM, "out of memory");
	pthread_mutex_init(&cache->mutex, NULL);
	*ret = cache;
	return 0;
}

/* The cache is a user too. With the mutex held. */
static void unuse(struct maps *maps)
{
	if (--maps->users == 0)
		maps_free(maps);
}

void map_cache_free(struct map_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < cache->n; i++)
		unuse(cache->entries[i]);
	pthread_mutex_destroy(&cache->mutex);
	free(cache);
}

/* With the mutex held: a user more, moved to the front; NULL where not cached. */
static struct maps *use(struct map_cache *cache, uint64_t id)
{
	for (size_t i = 0; i < cache->n; i++) {
		struct maps *maps = cache->entries[i];

		if (maps->id != id)
			continue;
		memmove(&cache->entries[1], &cache->entries[0], i * sizeof(maps));
		cache->entries[0] = maps;
		maps->users++;
		return maps;
	}
	return NULL;
}

struct maps *map_cache_find(struct map_cache *cache, uint64_t id)
{
	struct maps *maps;

	pthread_mutex_lock(&cache->mutex);
	maps = use(cache, id);
	pthread_mutex_unlock(&cache->mutex);
	return maps;
}

/* With the mutex held: lets go of what was not used for longest. */
static void shrink(struct map_cache *cache)
{
	while (cache->n > 1 && (cache->n == ENTRIES_MAX || cache->bytes > BYTES_MAX)) {
		struct maps *last = cache->entries[--cache->n];

		cache->bytes -= maps_bytes(last);
		unuse(last);
	}
}

struct maps *map_cache_add(struct map_cache *cache, struct maps *maps)
{
	struct maps *present;

	pthread_mutex_lock(&cache->mutex);
	present = use(cache, maps->id);
	if (!present) {
		shrink(cache);
		memmove(&cache->entries[1], &cache->entries[0], cache->n * sizeof(maps));
		cache->entries[0] = maps;
		cache->n++;
		cache->bytes += maps_bytes(maps);
		maps->users = 2; /* the cache and the caller */
	}
	pthread_mutex_unlock(&cache->mutex);
	if (!present)
		return maps;
	maps_free(maps);
	return present;
}

void map_cache_put(struct map_cache *cache, struct maps *maps)
{
	pthread_mutex_lock(&cache->mutex);
	unuse(maps);
	pthread_mutex_unlock(&cache->mutex);
}
