/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collecting the garbage of drafts that rewrite themselves, in their own packs.
 */
#include "config.h"

#include "base/fail.h"
#include "db/draft-private.h"
#include "db/gc.h"
#include "db/lock.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

void draft_look_tidy(struct draft *draft)
{
	const struct map *layer = draft->stored->layer;
	uint64_t live = map_count(layer, MAP_DIFF, 0, layer->npages) * PAGE_BYTES;

	/* more than all its pages would need plain, and twice what was left the last time */
	if (draft->pack_bytes <= MAX(draft->tidy_at, live + TIDY_BYTES))
		return;
	/* a pack that is being written is left alone: it goes on in the next */
	appender_free(draft->appender);
	draft->appender = NULL;
	pthread_mutex_lock(&draft->lock);
	draft->untidy = true;
	pthread_mutex_unlock(&draft->lock);
	atomic_store(&draft->all->untidy, true);
}

bool drafts_are_untidy(struct drafts *drafts)
{
	return atomic_load(&drafts->untidy);
}

/* The row says what the draft has in packs. */
static int bytes_given_back(struct index *index, uint64_t id, uint64_t bytes)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	AUTO_RESET sqlite3_stmt *update = NULL;
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = sql_get(index,
			    "UPDATE snapshot SET stored_bytes = max(stored_bytes - ?2, 0) WHERE "
			    "id = ?1 AND state = 1",
			    &update);
	if (r < 0)
		return r;
	sql_bind(update, 1, id);
	sql_bind(update, 2, bytes);
	r = sql_run(index, update);
	return r < 0 ? r : transaction_commit(&open);
}

static int tidy(struct draft *draft, struct index *index)
{
	struct gc_report report = {0};
	int r;

	/* who reads its diff does so by the map of its open */
	if (locks_count_leases(draft->all->store->locks, draft->id) > 1)
		return 0;
	r = gc_run_maker(index, draft->id, &report);
	if (report.bytes > 0 && r == 0)
		r = bytes_given_back(index, draft->id, report.bytes);
	pthread_mutex_lock(&draft->slow);
	draft->pack_bytes -= MIN(report.bytes, draft->pack_bytes);
	draft->tidy_at = 2 * draft->pack_bytes;
	pthread_mutex_unlock(&draft->slow);
	return r;
}

/* An untidy draft with a handle, not untidy any more; NULL: none. */
static struct draft *take_untidy(struct drafts *drafts)
{
	struct draft *draft;

	pthread_mutex_lock(&drafts->lock);
	for (draft = drafts->first; draft; draft = draft->next) {
		bool untidy;

		pthread_mutex_lock(&draft->lock);
		untidy = draft->untidy;
		draft->untidy = false;
		pthread_mutex_unlock(&draft->lock);
		if (untidy)
			break;
	}
	if (draft)
		draft->handles++;
	pthread_mutex_unlock(&drafts->lock);
	return draft;
}

int drafts_tidy(struct drafts *drafts, struct index *index)
{
	struct draft *draft;
	int result = 0;

	atomic_store(&drafts->untidy, false);
	while ((draft = take_untidy(drafts))) {
		int r = tidy(draft, index);

		if (r < 0)
			result = fail_prefix(r, "collecting garbage of %s", draft->name);
		(void)!draft_close(draft, false);
	}
	return result;
}
