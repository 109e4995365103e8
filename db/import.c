/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import: workers, one a core, each take the next window of the image, read it,
 * tell its pages apart and encode what is new; this thread appends the windows in
 * the order of the image, and one of the appender's commits them. There are more
 * windows than workers, so that one can be a little ahead; then it waits, and memory
 * is bounded.
 *
 *   free -> (worker) taken -> ready -> (this thread, in sequence) -> free
 *
 * The snapshot's row is there from the start, invisible (state importing), under
 * the exclusive lease of this process; the last transaction seals it. A failure
 * takes it out again; who finds one without a lease does the same.
 *
 * A parent is open, so leased, before the row names it, and until it is sealed: a
 * parent that others see as needed was there all the time. One worker proves its map
 * while the others have begun: what they took from one that is not what was sealed is
 * taken out with the rest of the import.
 */
#include "config.h"

#include "db/import.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/big.h"
#include "base/fail.h"
#include "db/appender.h"
#include "db/attachment-private.h"
#include "db/catalog-private.h"
#include "db/discard.h"
#include "db/image.h"
#include "db/import-row.h"
#include "db/known.h"
#include "db/layer.h"
#include "db/lock.h"
#include "db/resolve.h"
#include "db/snapshot.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"
#include "db/window.h"

#define WORKERS_MAX 8
#define WINDOWS_MAX (2 * WORKERS_MAX + 4)

struct import {
	struct store *store; /* borrowed */
	const struct import_request *request;
	struct image *image;	 /* owned */
	struct snapshot *parent; /* owned; NULL for a base */
	const struct map *below; /* of the parent's merged image, or NULL */
	struct known *known;	 /* owned; NULL over a parent, where few pages are looked up */
	size_t nworkers;
	size_t nwindows;
	pthread_t workers[WORKERS_MAX];

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct window *windows; /* owned, nwindows of them; whose turn: see above */
	enum { WINDOW_FREE, WINDOW_TAKEN, WINDOW_READY } states[WINDOWS_MAX]; /* by mutex */
	size_t running;			/* workers that have not ended; protected by mutex */
	bool stop;			/* protected by mutex */
	bool unproved;			/* no worker proves the parent yet; protected by mutex */
	int error;			/* the first of a worker; protected by mutex */
	char error_text[FAIL_TEXT_MAX]; /* protected by mutex */
};

/* The error is the one to be told: the first, or one that the others may come from. */
static void stop_for(struct import *import, int error, bool cause)
{
	pthread_mutex_lock(&import->mutex);
	if (error < 0 && (cause || import->error == 0)) {
		import->error = error;
		fail_copy(error, import->error_text);
	}
	import->stop = true;
	pthread_cond_broadcast(&import->changed);
	pthread_mutex_unlock(&import->mutex);
}

static void stop_with(struct import *import, int error)
{
	stop_for(import, error, false);
}

/* A free window, taken; -1 when it is time to stop. */
static int take_window(struct import *import)
{
	int found = -1;

	pthread_mutex_lock(&import->mutex);
	while (found < 0 && !import->stop) {
		for (size_t i = 0; found < 0 && i < import->nwindows; i++)
			if (import->states[i] == WINDOW_FREE)
				found = (int)i;
		if (found < 0)
			pthread_cond_wait(&import->changed, &import->mutex);
	}
	if (found >= 0)
		import->states[found] = WINDOW_TAKEN;
	pthread_mutex_unlock(&import->mutex);
	return found;
}

static void set_state(struct import *import, int i, int state)
{
	pthread_mutex_lock(&import->mutex);
	import->states[i] = state;
	pthread_cond_broadcast(&import->changed);
	pthread_mutex_unlock(&import->mutex);
}

/* Windows until the image ends: 0, or the first error. */
static int work(struct import *import, struct index *index, struct pages *pages)
{
	/* of a diff all data stays, also what the parent has */
	const struct map *same = import->request->is_diff ? NULL : import->below;
	int i;

	while ((i = take_window(import)) >= 0) {
		struct window *window = &import->windows[i];
		int r = image_next(import->image, &window->span, window->plain);

		if (r < 0 || window->span.npages == 0) {
			set_state(import, i, WINDOW_FREE);
			return r;
		}
		r = image_read(import->image, &window->span, window->plain);
		if (r == 0 && !window->span.hole)
			r = window_classify(window, index, pages, same, import->known,
					    import->request->codec);
		if (r < 0)
			return r;
		set_state(import, i, WINDOW_READY);
	}
	return 0;
}

/* By the worker that comes first. */
static int prove_parent(struct import *import, struct index *index)
{
	bool mine;
	int r;

	pthread_mutex_lock(&import->mutex);
	mine = import->unproved;
	import->unproved = false;
	pthread_mutex_unlock(&import->mutex);
	r = mine ? snapshot_prove(import->parent, index) : 0;
	if (r < 0)
		stop_for(import, r, true);
	return r;
}

static void *worker_main(void *argument)
{
	struct import *import = argument;
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(pages_close_at) struct pages *pages = NULL;
	int r = index_open(import->store, &index);

	if (r == 0)
		r = pages_open(index, &pages);
	if (r == 0)
		r = prove_parent(import, index);
	if (r == 0)
		r = work(import, index, pages);
	if (r < 0)
		stop_with(import, r);
	pthread_mutex_lock(&import->mutex);
	import->running--;
	pthread_cond_broadcast(&import->changed);
	pthread_mutex_unlock(&import->mutex);
	return NULL;
}

/* The window of that sequence, once it is ready; NULL when there is none, because
 * the image has ended or a worker has failed. */
static struct window *wait_window(struct import *import, uint64_t sequence, int *ret_slot)
{
	struct window *found = NULL;
	bool more = true;

	pthread_mutex_lock(&import->mutex);
	while (!found && more && !import->stop) {
		more = import->running > 0;
		for (size_t i = 0; !found && i < import->nwindows; i++) {
			if (import->states[i] != WINDOW_READY ||
			    import->windows[i].span.sequence != sequence)
				continue;
			found = &import->windows[i];
			*ret_slot = (int)i;
		}
		if (!found && more)
			pthread_cond_wait(&import->changed, &import->mutex);
	}
	pthread_mutex_unlock(&import->mutex);
	return found;
}

static int append_all(struct import *import, struct layer *layer, struct appender *appender)
{
	uint64_t rest = image_size(import->image) / PAGE_BYTES; /* 0: of a pipe nobody knows */
	struct window *window;
	int slot;
	int r = 0;

	for (uint64_t n = 0; r == 0 && (window = wait_window(import, n, &slot)); n++) {
		uint64_t npages = window->span.npages;

		r = layer_add(layer, window);
		set_state(import, slot, WINDOW_FREE);
		progress_add(import->request->progress, npages * PAGE_BYTES);
		rest -= MIN(rest, npages);
		if (r == 0)
			r = appender_near_end(appender, rest);
	}
	return r;
}

static int workers_start(struct import *import)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	import->nworkers = (size_t)MAX(1L, MIN(cores, (long)WORKERS_MAX));
	import->nwindows = 2 * import->nworkers + 4;
	import->windows = big_new(import->nwindows * sizeof(struct window));
	if (!import->windows)
		return fail_with(-ENOMEM, "out of memory");
	for (size_t i = 0; i < import->nworkers; i++) {
		int error;

		pthread_mutex_lock(&import->mutex);
		error = pthread_create(&import->workers[i], NULL, worker_main, import);
		import->running += error == 0;
		pthread_mutex_unlock(&import->mutex);
		if (error) {
			import->nworkers = i;
			return fail_with(-error, "starting a thread: %s", strerror(error));
		}
	}
	return 0;
}

static void workers_end(struct import *import)
{
	for (size_t i = 0; i < import->nworkers; i++)
		pthread_join(import->workers[i], NULL);
	import->nworkers = 0;
}

/* The whole image into the store; the digests are complete after it. */
static int transfer(struct import *import, struct layer *layer, struct appender *appender)
{
	int r = workers_start(import);

	if (r == 0)
		r = append_all(import, layer, appender);
	stop_with(import, r);
	workers_end(import);
	if (import->error < 0)
		return fail_with(import->error, "%s", import->error_text);
	return r < 0 ? r : image_check_unchanged(import->image);
}

/* The invisible row, leased: *ret_id. */
static int begin(struct index *index, const struct import *import, uint64_t *ret_id)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct locks *locks = index_store(index)->locks;
	uint64_t id;
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = catalog_check_free(index, import->request->name);
	if (r == 0)
		r = import_row_insert(index, import->request->name, image_size(import->image),
				      import->parent ? snapshot_row(import->parent)->id : 0);
	if (r < 0)
		return r;
	id = (uint64_t)sqlite3_last_insert_rowid(index_db(index));
	/* a new id: nobody holds it, so this waits for nothing */
	r = locks_take_exclusive(locks, id, 0);
	if (r < 0)
		return r;
	r = transaction_commit(&open);
	if (r < 0) {
		locks_drop_lease(locks, id);
		return r;
	}
	*ret_id = id;
	return 0;
}

/* Inside the sealing transaction: the lease has kept the parent, unless somebody has
 * put another index there. */
static int check_parent(const struct import *import, struct index *index)
{
	struct snapshot_row row;
	int r;

	if (!import->parent)
		return 0;
	r = catalog_find_id(index, snapshot_row(import->parent)->id, &row);
	if (r == -ENOENT || (r == 0 && row.state != SNAPSHOT_SEALED))
		return fail_with(-EBUSY, "its parent '%s' was removed meanwhile",
				 import->request->parent);
	return r;
}

/* The last transaction: the snapshot is complete and visible, durably. */
static int seal(struct import *import, struct index *index, uint64_t id,
		const struct appender_totals *totals, const struct layer_sums *sums,
		struct snapshot_row *ret_row)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	const struct import_request *request = import->request;
	int r = transaction_begin(index, TRANSACTION_CATALOG, &open);

	if (r == 0)
		r = check_parent(import, index);
	if (r == 0)
		r = import_row_seal(index, id, totals, sums);
	if (r == 0 && request->vmstate)
		r = attachment_put(index, id, "vmstate", request->vmstate, request->vmstate_len);
	if (r == 0)
		r = catalog_find_id(index, id, ret_row);
	return r < 0 ? r : transaction_commit(&open);
}

/* With the lease on the row of that id. */
static int fill(struct import *import, struct index *index, uint64_t id,
		struct snapshot_row *ret_row)
{
	AUTO(index_close_at) struct index *reading = NULL;
	AUTO(appender_free_at) struct appender *appender = NULL;
	AUTO(layer_free_at) struct layer *layer = NULL;
	bool is_diff = import->request->is_diff;
	struct appender_totals totals;
	struct layer_sums sums;
	int r = appender_new(index, id, import->request->codec, &appender);

	if (r == 0)
		r = appender_commit_beside(appender);
	/* its thread has the index; of a diff the parent's rows are read meanwhile */
	if (r == 0 && is_diff)
		r = index_open(import->store, &reading);
	if (r == 0)
		r = layer_new(reading, import->below, is_diff, appender, &layer);
	if (r == 0)
		r = transfer(import, layer, appender);
	if (r == 0)
		r = appender_finish(appender, &totals);
	if (r < 0)
		return r;
	layer_finish(layer, &sums);
	return seal(import, index, id, &totals, &sums, ret_row);
}

/* Takes the failed import out; what cannot be done now the next writer does. */
static void undo(struct index *index, uint64_t id)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int r = transaction_begin(index, TRANSACTION_CATALOG, &open);

	if (r == 0)
		r = discard_snapshot(index, id);
	if (r == 0)
		r = transaction_commit(&open);
	(void)!r;
}

static int run(struct import *import, struct index *index, struct snapshot_row *ret_row)
{
	struct locks *locks = import->store->locks;
	char text[FAIL_TEXT_MAX];
	uint64_t id;
	int r = begin(index, import, &id);

	if (r < 0)
		return r;
	r = fill(import, index, id, ret_row);
	if (r == 0) {
		locks_drop_lease(locks, id);
		return 0;
	}
	fail_copy(r, text);
	undo(index, id);
	locks_drop_lease(locks, id);
	discard_leftovers(index);
	return fail_with(r, "%s", text);
}

static void import_done(struct import *import)
{
	big_free(import->windows, import->nwindows * sizeof(struct window));
	known_free(import->known);
	image_close(import->image);
	snapshot_close(import->parent);
	pthread_cond_destroy(&import->changed);
	pthread_mutex_destroy(&import->mutex);
}

/* Opens the parent, which leases it; its map is proved by a worker. */
static int parent_open(struct import *import, struct index *index)
{
	const char *name = import->request->parent;
	struct snapshot_row row;
	size_t depth;
	int r = catalog_find(index, name, &row);

	if (r < 0)
		return r;
	if (row.state != SNAPSHOT_SEALED)
		return fail_with(-EINVAL, "its parent '%s' is a draft: seal it first", name);
	r = snapshot_open_unproved(index, row.id, &import->parent);
	if (r == 0)
		r = resolve_depth(index, &row, &depth);
	if (r == 0 && depth == LAYERS_MAX)
		return fail_with(-EINVAL,
				 "its parent '%s' has %d layers, which is the most: "
				 "export it, and import that without a parent",
				 name, LAYERS_MAX);
	if (r == 0)
		import->below = snapshot_map(import->parent, MAP_MEM);
	import->unproved = r == 0;
	return r;
}

static int source_open(struct import *import)
{
	const struct import_request *request = import->request;
	struct image_rules rules = {.parent = request->parent, .is_diff = request->is_diff};

	if (import->parent)
		rules.size = snapshot_row(import->parent)->size;
	return image_open(request->image_fd, request->image, &rules, &import->image);
}

int import_image(struct store *store, const struct import_request *request,
		 struct snapshot_row *ret_row)
{
	AUTO(index_close_at) struct index *index = NULL;
	struct import import = {.store = store, .request = request};
	int r = catalog_check_name(request->name);

	pthread_mutex_init(&import.mutex, NULL);
	pthread_cond_init(&import.changed, NULL);
	if (r == 0 && request->vmstate)
		r = attachment_check_size("vmstate", request->vmstate_len);
	if (r == 0)
		r = index_open(store, &index);
	if (r == 0 && request->parent)
		r = parent_open(&import, index);
	if (r == 0)
		r = source_open(&import);
	if (r == 0) {
		discard_leftovers(index);
		if (!import.parent)
			r = known_new(index, image_size(import.image) / PAGE_BYTES, &import.known);
	}
	if (r == 0) {
		progress_set_total(request->progress, image_size(import.image));
		r = run(&import, index, ret_row);
	}
	import_done(&import);
	return r;
}
