/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/pack-cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "db/pack.h"
#include "db/store-private.h"

#define SLOTS 64
#define LOOK_EVERY_NS NS_PER_SEC /* for packs that were removed: a stat a slot */

/* Protected by the mutex of the cache; fd stays as it is while there are users. */
struct pack_slot {
	uint32_t number; /* 0: empty */
	int fd;
	unsigned int users;
};

struct pack_cache {
	pthread_mutex_t mutex;
	uint64_t looked_ns;	       /* protected by mutex */
	struct pack_slot slots[SLOTS]; /* a pack has one possible slot */
};

int pack_cache_new(struct pack_cache **ret)
{
	struct pack_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return fail_with(-ENOMEM, "out of memory");
	pthread_mutex_init(&cache->mutex, NULL);
	*ret = cache;
	return 0;
}

/* With the mutex held. */
static void slot_empty(struct pack_slot *slot)
{
	if (slot->number)
		close(slot->fd);
	slot->number = 0;
}

void pack_cache_free(struct pack_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		slot_empty(&cache->slots[i]);
	pthread_mutex_destroy(&cache->mutex);
	free(cache);
}

/* Another user of the pack, if it is there. */
static bool slot_use(struct pack_cache *cache, struct pack_slot *slot, uint32_t number,
		     struct pack_handle *ret)
{
	bool found;

	pthread_mutex_lock(&cache->mutex);
	found = slot->number == number;
	if (found) {
		slot->users++;
		*ret = (struct pack_handle){.fd = slot->fd, .slot = slot};
	}
	pthread_mutex_unlock(&cache->mutex);
	return found;
}

static bool has_no_name(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || st.st_nlink == 0;
}

/* With the mutex held: closes those that are not in use, all or those without a name. */
static void close_unused(struct pack_cache *cache, bool all)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct pack_slot *slot = &cache->slots[i];

		if (slot->number && slot->users == 0 && (all || has_no_name(slot->fd)))
			slot_empty(slot);
	}
}

/* Garbage is collected by other processes, while snapshots stay open here for days. */
static void look_for_removed(struct pack_cache *cache)
{
	uint64_t now = clock_monotonic_ns();

	pthread_mutex_lock(&cache->mutex);
	if (now - cache->looked_ns >= LOOK_EVERY_NS) {
		cache->looked_ns = now;
		close_unused(cache, false);
	}
	pthread_mutex_unlock(&cache->mutex);
}

bool pack_cache_find(const struct store *store, uint32_t number, struct pack_handle *ret)
{
	struct pack_cache *cache = store->pack_cache;

	look_for_removed(cache);
	return slot_use(cache, &cache->slots[number % SLOTS], number, ret);
}

int pack_cache_get(const struct store *store, uint32_t number, struct pack_handle *ret)
{
	struct pack_cache *cache = store->pack_cache;
	struct pack_slot *slot = &cache->slots[number % SLOTS];
	int fd;
	int r;

	if (pack_cache_find(store, number, ret))
		return 0;
	r = pack_open(store, number, &fd);
	if (r < 0)
		return r;
	*ret = (struct pack_handle){.fd = fd};
	pthread_mutex_lock(&cache->mutex);
	/* where others use the slot, the handle keeps the descriptor to itself */
	if (slot->users == 0) {
		slot_empty(slot);
		*slot = (struct pack_slot){.number = number, .fd = fd, .users = 1};
		ret->slot = slot;
	}
	pthread_mutex_unlock(&cache->mutex);
	return 0;
}

void pack_cache_put(const struct store *store, struct pack_handle *handle)
{
	if (!handle->slot) {
		close(handle->fd);
		return;
	}
	pthread_mutex_lock(&store->pack_cache->mutex);
	handle->slot->users--;
	pthread_mutex_unlock(&store->pack_cache->mutex);
}

void pack_cache_trim(const struct store *store, bool all)
{
	struct pack_cache *cache = store->pack_cache;

	pthread_mutex_lock(&cache->mutex);
	close_unused(cache, all);
	pthread_mutex_unlock(&cache->mutex);
}
