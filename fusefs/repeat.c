/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/repeat.h"

/* FNV-1a; never 0, which marks a free slot. */
static uint64_t key_of(const char *message)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325);

	for (; *message; message++)
		key = (key ^ (unsigned char)*message) * UINT64_C(0x100000001b3);
	return key ? key : 1;
}

bool repeat_allows(struct repeat *repeat, const char *message, uint64_t now_ns, uint64_t *ret_held)
{
	uint64_t key = key_of(message);
	size_t i = key % REPEAT_SLOTS;
	bool allowed;

	pthread_mutex_lock(&repeat->lock);
	if (repeat->slots[i].key != key) {
		repeat->slots[i].key = key;
		repeat->slots[i].held = 0;
		allowed = true;
	} else {
		allowed = now_ns - repeat->slots[i].said_ns >= REPEAT_SILENCE_NS;
	}
	*ret_held = repeat->slots[i].held;
	if (allowed) {
		repeat->slots[i].said_ns = now_ns;
		repeat->slots[i].held = 0;
	} else {
		repeat->slots[i].held++;
	}
	pthread_mutex_unlock(&repeat->lock);
	return allowed;
}
