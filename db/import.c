/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import: workers, one a core, each take the next window of the image, read it,
 * tell its pages apart and encode what is new; this thread appends the windows in
 * the order of the image. There are a few more windows than workers, so a worker
 * that is ahead waits, and memory is bounded.
 *
 *   free -> (worker) taken -> ready -> (this thread, in sequence) -> free
 *
 * The snapshot's row is there from the start, invisible (state importing), under
 * the exclusive lease of this process; the last transaction seals it. A failure
 * takes it out again; who finds one without a lease does the same.
 */
#include "config.h"

#include "db/import.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "db/appender.h"
#include "db/attachment-private.h"
#include "db/catalog-private.h"
#include "db/digest.h"
#include "db/discard.h"
#include "db/image.h"
#include "db/lock.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"
#include "db/window.h"

#define WORKERS_MAX 8
#define WINDOWS_MAX (WORKERS_MAX + 2)

struct import {
	struct store *store; /* borrowed */
	const struct import_request *request;
	struct image *image;   /* owned */
	struct digest *digest; /* owned; this thread's */
	size_t nworkers;
	size_t nwindows;
	pthread_t workers[WORKERS_MAX];

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct window *windows[WINDOWS_MAX]; /* owned; whose turn: see above */
	enum { WINDOW_FREE, WINDOW_TAKEN, WINDOW_READY } states[WINDOWS_MAX]; /* by mutex */
	size_t running;			/* workers that have not ended; protected by mutex */
	bool stop;			/* protected by mutex */
	int error;			/* the first of a worker; protected by mutex */
	char error_text[FAIL_TEXT_MAX]; /* protected by mutex */
};

static void stop_with(struct import *import, int error)
{
	pthread_mutex_lock(&import->mutex);
	if (error < 0 && import->error == 0) {
		import->error = error;
		fail_copy(error, import->error_text);
	}
	import->stop = true;
	pthread_cond_broadcast(&import->changed);
	pthread_mutex_unlock(&import->mutex);
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
	int i;

	while ((i = take_window(import)) >= 0) {
		struct window *window = import->windows[i];
		int r = image_next(import->image, &window->span, window->plain);

		if (r < 0 || window->span.npages == 0) {
			set_state(import, i, WINDOW_FREE);
			return r;
		}
		r = image_read(import->image, &window->span, window->plain);
		if (r == 0 && !window->span.hole)
			r = window_classify(window, index, pages);
		if (r < 0)
			return r;
		set_state(import, i, WINDOW_READY);
	}
	return 0;
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
			    import->windows[i]->span.sequence != sequence)
				continue;
			found = import->windows[i];
			*ret_slot = (int)i;
		}
		if (!found && more)
			pthread_cond_wait(&import->changed, &import->mutex);
	}
	pthread_mutex_unlock(&import->mutex);
	return found;
}

static void digest_window(struct digest *digest, const struct window *window)
{
	if (window->span.hole) {
		digest_add_run(digest, RUN_ZERO, window->span.npages);
		return;
	}
	for (size_t i = 0; i < window->span.npages; i++) {
		if (window->pages[i].kind == PAGE_ZERO)
			digest_add_run(digest, RUN_ZERO, 1);
		else
			digest_add_data(digest, window->pages[i].row.hash);
	}
}

static int append_all(struct import *import, struct appender *appender)
{
	struct window *window;
	int slot;
	int r = 0;

	for (uint64_t n = 0; r == 0 && (window = wait_window(import, n, &slot)); n++) {
		uint64_t bytes = window->span.npages * PAGE_BYTES;

		digest_window(import->digest, window);
		r = appender_add(appender, window);
		set_state(import, slot, WINDOW_FREE);
		progress_add(import->request->progress, bytes);
	}
	return r;
}

static int workers_start(struct import *import)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	import->nworkers = (size_t)MAX(1L, MIN(cores, (long)WORKERS_MAX));
	import->nwindows = import->nworkers + 2;
	for (size_t i = 0; i < import->nwindows; i++) {
		import->windows[i] = malloc(sizeof(struct window));
		if (!import->windows[i])
			return fail_with(-ENOMEM, "out of memory");
	}
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

/* The whole image into the store; the digest is complete after it. */
static int transfer(struct import *import, struct appender *appender)
{
	int r = workers_start(import);

	if (r == 0)
		r = append_all(import, appender);
	stop_with(import, r);
	workers_end(import);
	if (import->error < 0)
		return fail_with(import->error, "%s", import->error_text);
	return r < 0 ? r : image_check_unchanged(import->image);
}

static int row_insert(struct index *index, const struct import_request *request, uint64_t size)
{
	static const char sql[] = "INSERT INTO snapshot (name, size, page_size, state, created_ns) "
				  "VALUES (?1, ?2, ?3, 0, ?4)";
	sqlite3_stmt *insert;
	int r = sql_get(index, sql, &insert);

	if (r < 0)
		return r;
	sqlite3_bind_text(insert, 1, request->name, -1, SQLITE_STATIC);
	sql_bind(insert, 2, size);
	sql_bind(insert, 3, PAGE_BYTES);
	sql_bind(insert, 4, clock_wall_ns());
	return sql_run(index, insert);
}

/* The invisible row, leased: *ret_id. */
static int begin(struct index *index, const struct import_request *request, uint64_t size,
		 uint64_t *ret_id)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct locks *locks = index_store(index)->locks;
	uint64_t id;
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = catalog_check_free(index, request->name);
	if (r == 0)
		r = row_insert(index, request, size);
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

static int row_seal(struct index *index, uint64_t id, const struct appender_totals *totals,
		    const uint8_t digest[DIGEST_BYTES])
{
	static const char sql[] = "UPDATE snapshot SET state = 2, size = ?2, digest = ?3, "
				  "layer_digest = ?3, data_pages = ?4, layer_data = ?4, "
				  "layer_zero = ?5, stored_pages = ?6, stored_bytes = ?7 "
				  "WHERE id = ?1 AND state = 0";
	sqlite3_stmt *update;
	int r = sql_get(index, sql, &update);

	if (r < 0)
		return r;
	sql_bind(update, 1, id);
	sql_bind(update, 2, totals->npages * PAGE_BYTES);
	sqlite3_bind_blob(update, 3, digest, DIGEST_BYTES, SQLITE_TRANSIENT);
	sql_bind(update, 4, totals->data_pages);
	sql_bind(update, 5, totals->npages - totals->data_pages);
	sql_bind(update, 6, totals->stored_pages);
	sql_bind(update, 7, totals->stored_bytes);
	return sql_run(index, update);
}

/* The last transaction: the snapshot is complete and visible, durably. */
static int seal(struct import *import, struct index *index, uint64_t id,
		const struct appender_totals *totals, struct snapshot_row *ret_row)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	const struct import_request *request = import->request;
	uint8_t digest[DIGEST_BYTES];
	int r = transaction_begin(index, TRANSACTION_CATALOG, &open);

	digest_finish(import->digest, totals->npages * PAGE_BYTES, digest);
	if (r == 0)
		r = row_seal(index, id, totals, digest);
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
	AUTO(appender_free_at) struct appender *appender = NULL;
	struct appender_totals totals;
	int r = appender_new(index, id, &appender);

	if (r == 0)
		r = digest_new(&import->digest);
	if (r == 0)
		r = transfer(import, appender);
	if (r == 0)
		r = appender_finish(appender, &totals);
	return r < 0 ? r : seal(import, index, id, &totals, ret_row);
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
	int r = begin(index, import->request, image_size(import->image), &id);

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
	for (size_t i = 0; i < import->nwindows; i++)
		free(import->windows[i]);
	image_close(import->image);
	digest_free(import->digest);
	pthread_cond_destroy(&import->changed);
	pthread_mutex_destroy(&import->mutex);
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
		r = image_open(request->image_fd, request->image, &import.image);
	if (r == 0)
		r = index_open(store, &index);
	if (r == 0) {
		discard_leftovers(index);
		progress_set_total(request->progress, image_size(import.image));
		r = run(&import, index, ret_row);
	}
	import_done(&import);
	return r;
}
