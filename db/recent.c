/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/recent.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/fail.h"

/* Room for four times the pages that can be between a look-up and its commit. */
#define SETS (1U << 15)

struct recent {
	bool big; /* it is of big_new */
	bool used;
	struct page_row sets[SETS][RECENT_WAYS]; /* oldest first; length 0: empty */
};

int recent_new(bool big, struct recent **ret)
{
	struct recent *recent = big ? big_new(sizeof(*recent)) : calloc(1, sizeof(*recent));

	if (!recent)
		return fail_with(-ENOMEM, "out of memory");
	recent->big = big;
	*ret = recent;
	return 0;
}

void recent_free(struct recent *recent)
{
	if (recent && recent->big)
		big_free(recent, sizeof(*recent));
	else
		free(recent);
}

void recent_clear(struct recent *recent)
{
	if (recent->used)
		memset(recent->sets, 0, sizeof(recent->sets));
	recent->used = false;
}

void recent_add(struct recent *recent, const struct page_row *row)
{
	struct page_row *set = recent->sets[row->hash % SETS];

	recent->used = true;
	memmove(&set[0], &set[1], (RECENT_WAYS - 1) * sizeof(*set));
	set[RECENT_WAYS - 1] = *row;
}

size_t recent_find(const struct recent *recent, uint64_t hash, struct page_row rows[RECENT_WAYS])
{
	const struct page_row *set = recent->sets[hash % SETS];
	size_t n = 0;

	for (size_t i = 0; i < RECENT_WAYS; i++)
		if (set[i].length > 0 && set[i].hash == hash)
			rows[n++] = set[i];
	return n;
}
