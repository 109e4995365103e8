/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/draft-seen.h"

#include "base/attributes.h"
#include "db/draft-private.h"

/* With all->lock held. */
static struct seen *seen_find(struct drafts *drafts, uint64_t id)
{
	for (size_t i = 0; i < drafts->nseen; i++)
		if (drafts->seen[i].id == id)
			return &drafts->seen[i];
	return NULL;
}

void draft_seen_advance(struct draft *draft, uint64_t before, uint64_t now)
{
	struct seen *seen;

	pthread_mutex_lock(&draft->all->lock);
	seen = seen_find(draft->all, draft->id);
	for (size_t i = 0; seen && i < DRAFT_FILES; i++)
		if (seen->versions[i] == before)
			seen->versions[i] = now;
	pthread_mutex_unlock(&draft->all->lock);
}

bool drafts_seen(struct drafts *drafts, uint64_t id, enum draft_part which, uint64_t version,
		 uint64_t *ret_losses)
{
	const struct seen *seen;
	bool same;

	pthread_mutex_lock(&drafts->lock);
	seen = seen_find(drafts, id);
	same = seen && seen->versions[which] == version;
	*ret_losses = drafts->losses;
	pthread_mutex_unlock(&drafts->lock);
	return same;
}

void drafts_set_seen(struct drafts *drafts, uint64_t id, enum draft_part which, uint64_t version,
		     uint64_t losses)
{
	struct seen *seen;

	pthread_mutex_lock(&drafts->lock);
	seen = seen_find(drafts, id);
	if (!seen && losses == drafts->losses) {
		seen = &drafts->seen[drafts->next_seen++ % SEEN_MOST];
		drafts->nseen = MIN(MAX(drafts->nseen, drafts->next_seen), (size_t)SEEN_MOST);
		*seen = (struct seen){.id = id};
	}
	if (losses == drafts->losses)
		seen->versions[which] = version;
	pthread_mutex_unlock(&drafts->lock);
}

void drafts_lost(struct drafts *drafts, uint64_t id, enum draft_part which)
{
	struct seen *seen;

	pthread_mutex_lock(&drafts->lock);
	drafts->losses++;
	seen = seen_find(drafts, id);
	if (seen)
		seen->versions[which] = 0; /* no draft has that */
	pthread_mutex_unlock(&drafts->lock);
}
