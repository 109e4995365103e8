/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a page of an open draft is: the first of these that has it.
 *
 *   dirty      written since the last store began
 *   flushing   being stored now, or what a store could not store
 *   pending    durable, in table pending
 *   stored     a map: the extents of the layer over the merged image of the parent
 *
 *   1. A store moves dirty to flushing at once, and flushing to pending or stored
 *      in one step once its transaction is committed: so a reader who looks with the
 *      lock held finds each page in exactly one state, and that is the newest.
 *   2. A reader copies pages out of overlays with the lock held, and takes a reference
 *      to the stored map for the rest, which it reads without. That map stays what it
 *      was; page ids are never used twice. Garbage collection may take pages that were
 *      replaced: a page that is not there is looked up once more in the map of
 *      now, and only if it is not there either it is damage.
 *   3. Without the write lease a draft is loaded again at each open, for all who have
 *      it open: their reads fill one page cache, which the kernel drops at that open.
 *   4. The write lease is taken before what is to be changed is loaded, and let go
 *      after it is stored.
 *
 * Order of locks: slow, all->lock, lock. No lock is held while the store is waited for
 * but slow.
 */
#include "config.h"

#include "db/draft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/draft-private.h"
#include "db/lock.h"
#include "db/resolve.h"
#include "db/store-private.h"

/* ---- the table ---- */

int drafts_new(struct store *store, struct drafts **ret)
{
	struct drafts *drafts = calloc(1, sizeof(*drafts));

	if (!drafts)
		return fail_with(-ENOMEM, "out of memory");
	drafts->store = store;
	pthread_mutex_init(&drafts->lock, NULL);
	*ret = drafts;
	return 0;
}

void draft_stored_unref(struct stored *stored)
{
	if (!stored || --stored->refs > 0)
		return;
	map_free(stored->layer);
	if (stored->sealed)
		snapshot_close(stored->sealed);
	else
		map_free(stored->mem);
	free(stored);
}

void draft_view_drop(struct draft *draft)
{
	map_free(draft->view);
	draft->view = NULL;
}

bool draft_has_unstored(const struct draft *draft)
{
	return !overlay_is_empty(draft->dirty) || !overlay_is_empty(draft->flushing) ||
	       draft->vmstate.changes != draft->vmstate.stored_changes;
}

static void draft_free(struct draft *draft)
{
	struct locks *locks = draft->all->store->locks;

	draft_store_done(draft);
	if (draft->dirty && draft->flushing)
		atomic_fetch_sub(&draft->all->cost,
				 overlay_cost(draft->dirty) + overlay_cost(draft->flushing));
	if (draft->may_write)
		locks_drop_write(locks, draft->id);
	if (draft->leased)
		locks_drop_lease(locks, draft->id);
	draft_view_drop(draft);
	draft_stored_unref(draft->stored);
	overlay_free(draft->pending);
	overlay_free(draft->flushing);
	overlay_free(draft->dirty);
	snapshot_close(draft->parent);
	free(draft->vmstate.data);
	pthread_mutex_destroy(&draft->lock);
	pthread_mutex_destroy(&draft->slow);
	free(draft);
}

int drafts_free(struct drafts *drafts)
{
	int result = 0;

	if (!drafts)
		return 0;
	while (drafts->first) {
		struct draft *draft = drafts->first;
		int r;

		drafts->first = draft->next;
		pthread_mutex_lock(&draft->slow);
		r = draft_store_locked(draft, false);
		pthread_mutex_unlock(&draft->slow);
		if (r < 0)
			result = fail_prefix(r, "what was written to %s is lost", draft->name);
		draft_free(draft);
	}
	pthread_mutex_destroy(&drafts->lock);
	free(drafts);
	return result;
}

static int draft_new(struct drafts *drafts, uint64_t id, struct draft **ret)
{
	struct draft *draft = calloc(1, sizeof(*draft));
	int r;

	if (!draft)
		return fail_with(-ENOMEM, "out of memory");
	draft->all = drafts;
	draft->id = id;
	pthread_mutex_init(&draft->slow, NULL);
	pthread_mutex_init(&draft->lock, NULL);
	r = overlay_new(&draft->dirty);
	if (r == 0)
		r = overlay_new(&draft->flushing);
	if (r == 0)
		r = overlay_new(&draft->pending);
	if (r < 0) {
		draft_free(draft);
		return r;
	}
	*ret = draft;
	return 0;
}

/* With all->lock held. */
static struct draft *table_find(struct drafts *drafts, uint64_t id)
{
	struct draft *draft = drafts->first;

	while (draft && draft->id != id)
		draft = draft->next;
	return draft;
}

/* The draft of that id, with a handle for the caller. */
static int table_get(struct drafts *drafts, uint64_t id, bool writer, struct draft **ret)
{
	struct draft *draft;
	int r = 0;

	pthread_mutex_lock(&drafts->lock);
	draft = table_find(drafts, id);
	if (!draft) {
		r = draft_new(drafts, id, &draft);
		if (r == 0) {
			draft->next = drafts->first;
			drafts->first = draft;
		}
	}
	if (r == 0) {
		draft->handles++;
		draft->writers += writer;
		*ret = draft;
	}
	pthread_mutex_unlock(&drafts->lock);
	return r;
}

void draft_put(struct draft *draft)
{
	struct drafts *drafts = draft->all;
	struct draft **at = &drafts->first;
	bool unused;

	pthread_mutex_lock(&drafts->lock);
	draft->handles--;
	/* nobody else can reach it: nothing of it changes any more */
	unused = draft->handles == 0 && !draft_has_unstored(draft);
	if (unused) {
		while (*at != draft)
			at = &(*at)->next;
		*at = draft->next;
	}
	pthread_mutex_unlock(&drafts->lock);
	if (unused)
		draft_free(draft);
}

/* ---- loading ---- */

static int stored_make(struct draft *draft, struct map *layer, struct stored **ret)
{
	struct stored *stored = calloc(1, sizeof(*stored));
	int r = stored ? 0 : fail_with(-ENOMEM, "out of memory");

	if (r == 0)
		r = map_lay_over(layer, snapshot_map(draft->parent, MAP_MEM), 1, &stored->mem);
	if (r < 0) {
		map_free(layer);
		free(stored);
		return r;
	}
	stored->layer = layer;
	stored->refs = 1;
	*ret = stored;
	return 0;
}

/* It was sealed meanwhile: its handles go on with what it has become. */
static int stored_sealed(struct index *index, uint64_t id, struct stored **ret)
{
	struct stored *stored = calloc(1, sizeof(*stored));
	int r = stored ? 0 : fail_with(-ENOMEM, "out of memory");

	if (r == 0)
		r = snapshot_open(index, id, &stored->sealed);
	if (r < 0) {
		free(stored);
		return r;
	}
	stored->mem = (struct map *)snapshot_map(stored->sealed, MAP_MEM);
	stored->refs = 1;
	*ret = stored;
	return 0;
}

static int parent_open(struct draft *draft, struct index *index, const struct snapshot_row *row)
{
	int r;

	if (draft->parent)
		return 0;
	r = snapshot_open(index, row->parent, &draft->parent);
	if (r == -ENOENT)
		return fail_with(-EBADMSG, "%s: its parent is missing", row->name);
	if (r == 0 && (snapshot_row(draft->parent)->size != row->size ||
		       snapshot_row(draft->parent)->state != SNAPSHOT_SEALED))
		r = fail_with(-EBADMSG, "%s: its parent is of another size, or a draft itself",
			      row->name);
	if (r == -EBADMSG && draft->parent) {
		snapshot_close(draft->parent);
		draft->parent = NULL;
	}
	return r;
}

static void swap_in(struct draft *draft, const struct snapshot_row *row, struct stored *stored,
		    struct overlay *pending)
{
	pthread_mutex_lock(&draft->lock);
	if (!draft->stored) {
		memcpy(draft->name, row->name, sizeof(draft->name));
		draft->size = row->size;
	}
	draft_stored_unref(draft->stored);
	overlay_free(draft->pending);
	draft->row = *row;
	draft->changed_ns = row->changed_ns;
	draft->stored = stored;
	draft->pending = pending;
	draft_view_drop(draft);
	pthread_mutex_unlock(&draft->lock);
}

int draft_load(struct draft *draft, struct index *index, bool also_sealed)
{
	AUTO(overlay_free_at) struct overlay *pending = NULL;
	struct snapshot_row row;
	struct stored *stored = NULL;
	struct map *layer = NULL;
	int r = catalog_find_id(index, draft->id, &row);

	if (r < 0)
		return r;
	if (draft->stored && row.version == draft->row.version && row.state == draft->row.state)
		return row.state == SNAPSHOT_DRAFT || also_sealed ? 0 : -ESTALE;
	r = resolve_draft(index, draft->id, &row, &layer, &pending);
	if (r < 0)
		return r;
	if (!layer && !also_sealed)
		return fail_with(-ESTALE, "%s is sealed", row.name);
	if (!layer) {
		r = overlay_new(&pending);
		if (r == 0)
			r = stored_sealed(index, draft->id, &stored);
	} else {
		r = parent_open(draft, index, &row);
		if (r == 0)
			r = stored_make(draft, layer, &stored);
		else
			map_free(layer);
	}
	if (r < 0)
		return r;
	swap_in(draft, &row, stored, TAKE_PTR(pending));
	/* another process may have written one */
	return draft->vmstate.loaded ? draft_vmstate_load(draft, index) : 0;
}

/* ---- open and close ---- */

static int writer_begin(struct draft *draft, struct index *index, unsigned int wait_ms)
{
	struct locks *locks = draft->all->store->locks;
	int r = locks_take_write(locks, draft->id, wait_ms);

	if (r < 0)
		return r;
	r = draft_load(draft, index, false);
	if (r == 0)
		r = index_open(draft->all->store, &draft->index);
	if (r == 0)
		r = pages_open(draft->index, &draft->pages);
	if (r == 0)
		r = layer_edit_new(draft->index, draft->id, snapshot_map(draft->parent, MAP_MEM),
				   &draft->edit);
	if (r < 0) {
		draft_store_done(draft);
		locks_drop_write(locks, draft->id);
		return r;
	}
	pthread_mutex_lock(&draft->lock);
	draft->may_write = true;
	draft->pack_bytes = draft->row.stored_bytes;
	pthread_mutex_unlock(&draft->lock);
	draft->tidy_at = 0;
	return 0;
}

/* With slow held. */
static int prepare(struct draft *draft, struct index *index, bool writer, unsigned int wait_ms)
{
	int r = 0;

	if (!draft->leased)
		r = locks_take_lease(draft->all->store->locks, draft->id);
	if (r < 0)
		return r;
	draft->leased = true;
	if (draft->may_write)
		return 0;
	return writer ? writer_begin(draft, index, wait_ms) : draft_load(draft, index, false);
}

/* The last writer has gone: with slow held. */
static int writer_end(struct draft *draft)
{
	bool last;
	int r;

	pthread_mutex_lock(&draft->all->lock);
	last = draft->writers == 0;
	pthread_mutex_unlock(&draft->all->lock);
	if (!last || !draft->may_write)
		return 0;
	r = draft_store_locked(draft, overlay_cost(draft->pending) > DRAFT_PENDING_KEPT);
	if (r < 0)
		return r;
	/* a writer may have come meanwhile, and found that it may write */
	pthread_mutex_lock(&draft->all->lock);
	last = draft->writers == 0;
	pthread_mutex_lock(&draft->lock);
	if (last)
		draft->may_write = false;
	pthread_mutex_unlock(&draft->lock);
	pthread_mutex_unlock(&draft->all->lock);
	if (!last)
		return 0;
	draft_store_done(draft);
	locks_drop_write(draft->all->store->locks, draft->id);
	return 0;
}

int draft_close(struct draft *draft, bool writer)
{
	char text[FAIL_TEXT_MAX];
	bool last = false;
	int r = 0;

	if (writer) {
		pthread_mutex_lock(&draft->all->lock);
		last = --draft->writers == 0;
		pthread_mutex_unlock(&draft->all->lock);
	}
	if (last) {
		pthread_mutex_lock(&draft->slow);
		r = writer_end(draft);
		pthread_mutex_unlock(&draft->slow);
	}
	if (r < 0)
		fail_copy(r, text);
	draft_put(draft);
	return r < 0 ? fail_with(r, "%s", text) : 0;
}

/* Is it open for writing? Then it is loaded, and stays so: whoever opens it need not
 * wait for one who stores. */
static bool is_ready(struct draft *draft)
{
	bool ready;

	pthread_mutex_lock(&draft->lock);
	ready = draft->may_write;
	pthread_mutex_unlock(&draft->lock);
	return ready;
}

int draft_open(struct drafts *drafts, struct index *index, uint64_t id, bool writer,
	       unsigned int wait_ms, struct draft **ret)
{
	struct draft *draft = NULL;
	char text[FAIL_TEXT_MAX];
	int r = table_get(drafts, id, writer, &draft);

	if (r < 0)
		return r;
	if (!is_ready(draft)) {
		/* who waits for nothing does not wait for one who stores either */
		if (wait_ms > 0)
			pthread_mutex_lock(&draft->slow);
		else if (pthread_mutex_trylock(&draft->slow) != 0)
			r = fail_with(-EBUSY, "%s: it is being stored", draft->name);
		if (r == 0) {
			r = prepare(draft, index, writer, wait_ms);
			pthread_mutex_unlock(&draft->slow);
		}
	}
	if (r == 0) {
		*ret = draft;
		return 0;
	}
	fail_copy(r, text);
	(void)!draft_close(draft, writer);
	return fail_with(r, "%s", text);
}

void draft_hold(struct draft *draft)
{
	pthread_mutex_lock(&draft->all->lock);
	draft->handles++;
	draft->writers++;
	pthread_mutex_unlock(&draft->all->lock);
}

const char *draft_name(const struct draft *draft)
{
	return draft->name;
}

uint64_t draft_size(const struct draft *draft)
{
	return draft->size;
}

bool drafts_find_dirty(struct drafts *drafts, char name[SNAPSHOT_NAME_MAX + 1])
{
	bool found = false;

	pthread_mutex_lock(&drafts->lock);
	for (struct draft *draft = drafts->first; draft && !found; draft = draft->next) {
		pthread_mutex_lock(&draft->lock);
		found = draft_has_unstored(draft);
		if (found)
			memcpy(name, draft->name, sizeof(draft->name));
		pthread_mutex_unlock(&draft->lock);
	}
	pthread_mutex_unlock(&drafts->lock);
	return found;
}
