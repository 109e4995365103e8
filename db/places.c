/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing, at most half full, so that a search ends.
 */
#include "config.h"

#include "db/places.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

#define SLOTS_FIRST 1024 /* a power of two */

struct place {
	uint64_t offset;
	uint64_t pack; /* 0: the slot is free */
};

struct places {
	size_t n;
	size_t nslots;
	struct place *slots; /* owned */
};

int places_new(struct places **ret)
{
	struct places *places = calloc(1, sizeof(*places));

	if (places)
		places->slots = calloc(SLOTS_FIRST, sizeof(struct place));
	if (!places || !places->slots) {
		free(places);
		return fail_with(-ENOMEM, "out of memory");
	}
	places->nslots = SLOTS_FIRST;
	*ret = places;
	return 0;
}

void places_free(struct places *places)
{
	if (places)
		free(places->slots);
	free(places);
}

/* The slot of the place, or the free one for it. */
static struct place *slot_find(struct place *slots, size_t nslots, uint64_t pack, uint64_t offset)
{
	uint64_t hash =
		(offset + pack * UINT64_C(0xbf58476d1ce4e5b9)) * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (hash >> 32) & (nslots - 1);

	while (slots[i].pack != 0 && (slots[i].pack != pack || slots[i].offset != offset))
		i = (i + 1) & (nslots - 1);
	return &slots[i];
}

static int grow(struct places *places)
{
	size_t nslots = 2 * places->nslots;
	struct place *slots = calloc(nslots, sizeof(*slots));

	if (!slots)
		return fail_with(-ENOMEM, "out of memory");
	for (size_t i = 0; i < places->nslots; i++) {
		const struct place *place = &places->slots[i];

		if (place->pack != 0)
			*slot_find(slots, nslots, place->pack, place->offset) = *place;
	}
	free(places->slots);
	places->slots = slots;
	places->nslots = nslots;
	return 0;
}

int places_add(struct places *places, uint32_t pack, uint64_t offset, bool *ret_new)
{
	int r = 2 * (places->n + 1) > places->nslots ? grow(places) : 0;
	struct place *slot;

	if (r < 0)
		return r;
	slot = slot_find(places->slots, places->nslots, pack, offset);
	*ret_new = slot->pack == 0;
	if (*ret_new)
		places->n++;
	*slot = (struct place){.offset = offset, .pack = pack};
	return 0;
}

void places_clear(struct places *places)
{
	memset(places->slots, 0, places->nslots * sizeof(struct place));
	places->n = 0;
}
