/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/storing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "db/draft.h"
#include "db/index.h"
#include "db/pages.h"
#include "fusefs/node.h"
#include "fusefs/notifier.h"
#include "fusefs/reply.h"
#include "fusefs/tidier.h"

#define WAITING_MOST 64 /* requests to be answered */
#define SEATS 2		/* of the four threads that answer the kernel */
#define ROOM_TRIES 64
#define DROP_WAIT_MS 200

struct job {
	/* Does it, or with a negative err answers with that; returns what came of it. */
	int (*run)(struct storing *storing, struct job *job, int err);
	fuse_req_t req;	     /* NULL where nobody waits for an answer */
	struct file *file;   /* NULL to truncate what is not open */
	struct draft *draft; /* to let go, else NULL */
	uint64_t number;     /* of the node; not to store or write */
	uint64_t size;	     /* to truncate to; of bytes to write or zero */
	uint64_t off;	     /* to write or zero at */
	bool append;
	char *data;		    /* owned: to write; else NULL */
	struct fuse_file_info open; /* to open */
	uint64_t since_ns;	    /* monotonic, when it came */
	struct job *next;
};

struct storing {
	struct view *view;     /* borrowed */
	struct index *index;   /* owned; of the thread once it is started */
	struct pages *pages;   /* owned, before index; as index */
	atomic_int seats;      /* taken by threads that store themselves */
	uint64_t busy_ns;      /* when the last wait in vain began; of the thread */
	uint64_t full_ns;      /* when the last began that found no room; of the thread */
	struct tidier *tidier; /* owned */
	pthread_t id;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Protected by lock: */
	struct job *first;
	struct job **end; /* where the next goes */
	size_t waiting;	  /* jobs with a request, also the one being done */
	bool ending;
	int full;		      /* -errno of the last store, where it found no room */
	char why_full[FAIL_TEXT_MAX]; /* and its words */
};

/* ---- what is done ---- */

static int run_store(struct storing *storing, struct job *job, int err)
{
	int r = err < 0 ? err : file_store(job->file, storing->index);

	reply_result(job->req, "storing", job->file, r);
	return r;
}

static int run_truncate(struct storing *storing, struct job *job, int err)
{
	char text[REPLY_NODE_ROOM];
	struct file_table *files = &storing->view->files;
	int r = err;

	if (err == 0 && job->file)
		r = file_truncate(job->file, job->size);
	else if (err == 0 && !file_truncate_open(files, job->number, job->size, &r))
		r = file_truncate_closed(files, storing->index, job->number, job->size);
	/* the size stays, so the kernel would keep its pages. It cannot drop pages a
	 * shared map has changed before this is answered: hence not for long */
	if (r == 0 && job->size == 0 && node_kind(job->number) == NODE_MEM)
		notifier_drop(storing->view->notifier, job->number, DROP_WAIT_MS);
	if (r < 0)
		reply_failure(job->req, "truncation", reply_node(job->number, text), r);
	else
		reply_stat(job->req, storing->index, job->number, job->file);
	return r;
}

static int run_release(struct storing *storing, struct job *job, int err)
{
	char text[REPLY_NODE_ROOM];
	int r = err;

	/* a draft is stored by its close */
	if (r == 0 && !file_close_stores(job->file))
		r = file_store(job->file, storing->index);
	/* nobody hears an answer, so every failure is worth a line */
	if (r < 0)
		reply_log(storing->view, "storing", reply_node(job->number, text), r);
	r = file_close(&storing->view->files, job->file);
	if (r < 0)
		reply_log(storing->view, "closing", reply_node(job->number, text), r);
	return r;
}

/* Others may take the room that was made: not for ever, each has its turn here. */
static int write_with_room(struct storing *storing, struct job *job, size_t *ret_len)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < ROOM_TRIES; i++) {
		r = drafts_make_room(storing->view->drafts);
		if (r < 0)
			return r;
		if (job->data)
			r = file_write(job->file, storing->pages, job->off, job->append, job->data,
				       (size_t)job->size, ret_len);
		else
			r = file_zero(job->file, storing->pages, job->off, job->size);
	}
	return r == -EAGAIN ? fail_with(-EBUSY, "too much is being written at once") : r;
}

static int run_write(struct storing *storing, struct job *job, int err)
{
	size_t len = 0;
	int r = err < 0 ? err : write_with_room(storing, job, &len);

	if (r < 0 && job->data)
		storing_write_failed(storing, job->req, job->file, job->off, (size_t)job->size, r);
	else if (r < 0)
		reply_failure(job->req, "zeroing", file_name(job->file), r);
	else if (job->data)
		fuse_reply_write(job->req, len);
	else
		fuse_reply_err(job->req, 0);
	return r;
}

static int run_let_go(struct storing *storing, struct job *job, UNUSED int err)
{
	char name[SNAPSHOT_NAME_MAX + 1];
	int r;

	snprintf(name, sizeof(name), "%s", draft_name(job->draft));
	r = draft_close(job->draft, true);
	if (r < 0)
		reply_log(storing->view, "closing", name, r);
	return r;
}

static int run_open(struct storing *storing, struct job *job, int err)
{
	bool for_writing = (job->open.flags & O_ACCMODE) != O_RDONLY;
	struct file *file = NULL;
	int r = err < 0 ? err
			: file_open(&storing->view->files, storing->index, job->number, for_writing,
				    true, &file);

	storing_opened(storing, job->req, job->number, &job->open, r, file);
	return r;
}

/* ---- the thread ---- */

static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

/* Would it only find once more that there is no room for pages of drafts? */
static bool is_for_room(const struct job *job)
{
	return job->run == run_write || (job->run == run_store && file_is_draft(job->file));
}

/* Remembers what a store has found: any thread. Does it say that there is no room? */
static bool note_room(struct storing *storing, int r)
{
	char why[FAIL_TEXT_MAX];

	if (!is_full(r) && r != 0)
		return false;
	fail_copy(r, why);
	pthread_mutex_lock(&storing->lock);
	storing->full = r;
	memcpy(storing->why_full, why, sizeof(why));
	pthread_mutex_unlock(&storing->lock);
	return r < 0;
}

/* What the last store found: 0, or that there is no room. */
static int find_room(struct storing *storing)
{
	int r;

	pthread_mutex_lock(&storing->lock);
	r = storing->full < 0 ? fail_with(storing->full, "%s", storing->why_full) : 0;
	pthread_mutex_unlock(&storing->lock);
	return r;
}

static void run(struct storing *storing, struct job *job)
{
	uint64_t began_ns = clock_monotonic_ns();
	bool for_room = is_for_room(job); /* its file may be gone once it is answered */
	int err = 0;
	int r;

	if (job->since_ns <= storing->busy_ns)
		err = fail_with(-EBUSY, "others write to the store for too long: try again later");
	else if (for_room && job->since_ns <= storing->full_ns)
		err = find_room(storing);
	r = job->run(storing, job, err);
	if (err < 0)
		return;
	if (r == -EBUSY)
		storing->busy_ns = began_ns;
	if (for_room && note_room(storing, r))
		storing->full_ns = began_ns;
}

/* The next job; NULL at the end, when none is left. */
static struct job *take(struct storing *storing)
{
	struct job *job;

	pthread_mutex_lock(&storing->lock);
	while (!storing->first && !storing->ending)
		pthread_cond_wait(&storing->changed, &storing->lock);
	job = storing->first;
	if (job) {
		storing->first = job->next;
		if (!job->next)
			storing->end = &storing->first;
	}
	pthread_mutex_unlock(&storing->lock);
	return job;
}

static void *thread_main(void *argument)
{
	struct storing *storing = argument;
	struct job *job;

	while ((job = take(storing))) {
		bool waited = job->req;

		run(storing, job);
		tidier_wake(storing->tidier);
		free(job->data);
		free(job);
		pthread_mutex_lock(&storing->lock);
		storing->waiting -= waited;
		pthread_mutex_unlock(&storing->lock);
	}
	return NULL;
}

/* ---- the queue ---- */

/* Takes job over unless it fails. */
static int put(struct storing *storing, struct job *job)
{
	int r = 0;

	job->since_ns = clock_monotonic_ns();
	pthread_mutex_lock(&storing->lock);
	if (job->req && storing->waiting == WAITING_MOST && storing->full < 0) {
		r = fail_with(storing->full, "%s", storing->why_full);
	} else if (job->req && storing->waiting == WAITING_MOST) {
		r = fail_with(-EBUSY, "%d others wait to be stored: try again later", WAITING_MOST);
	} else {
		storing->waiting += job->req != NULL;
		*storing->end = job;
		storing->end = &job->next;
		pthread_cond_signal(&storing->changed);
	}
	pthread_mutex_unlock(&storing->lock);
	return r;
}

static void submit(struct storing *storing, const struct job *job)
{
	struct job refused = *job;
	struct job *copy = malloc(sizeof(*copy));
	int r;

	if (copy) {
		*copy = *job;
		r = put(storing, copy);
	} else {
		r = fail_with(-ENOMEM, "out of memory");
	}
	if (r == 0)
		return;
	free(copy);
	refused.run(storing, &refused, r);
	free(refused.data);
}

void storing_store(struct storing *storing, fuse_req_t req, struct file *file)
{
	bool seated = file_is_draft(file);
	int r;

	/* once it is answered the file may be gone */
	if (seated && atomic_fetch_add(&storing->seats, 1) < SEATS) {
		r = file_store(file, NULL);
		(void)note_room(storing, r);
		reply_result(req, "storing", file, r);
		atomic_fetch_sub(&storing->seats, 1);
		tidier_wake(storing->tidier);
		return;
	}
	if (seated)
		atomic_fetch_sub(&storing->seats, 1);
	submit(storing, &(struct job){.run = run_store, .req = req, .file = file});
}

void storing_opened(struct storing *storing, fuse_req_t req, uint64_t number,
		    struct fuse_file_info *fi, int r, struct file *file)
{
	bool for_writing = (fi->flags & O_ACCMODE) != O_RDONLY;
	char text[REPLY_NODE_ROOM];

	if (r < 0) {
		reply_failure(req, "opening", reply_node(number, text), r);
		return;
	}
	fi->fh = (uintptr_t)file;
	fi->direct_io = !file_is_cached(file) || (for_writing && file_is_fixed(file));
	fi->keep_cache = file_keeps_cache(&storing->view->files, file);
	fi->noflush = !for_writing; /* its close stores nothing: one request less */
	/* an interrupted open(2) never hears of this handle, nor sends a release */
	if (fuse_reply_open(req, fi) == -ENOENT)
		storing_release(storing, number, file);
}

void storing_open(struct storing *storing, fuse_req_t req, uint64_t number,
		  const struct fuse_file_info *fi)
{
	submit(storing, &(struct job){.run = run_open, .req = req, .number = number, .open = *fi});
}

void storing_write_failed(struct storing *storing, fuse_req_t req, struct file *file, uint64_t off,
			  size_t len, int err)
{
	uint64_t number = file_number(file);
	struct draft *draft = file_lose(&storing->view->files, file);

	reply_failure(req, "write", file_name(file), err);
	/* the file may be gone by now */
	if (draft)
		notifier_lose(storing->view->notifier, number, off, len, draft);
}

void storing_let_go(struct storing *storing, struct draft *draft)
{
	submit(storing, &(struct job){.run = run_let_go, .draft = draft});
}

void storing_write(struct storing *storing, fuse_req_t req, struct file *file, uint64_t off,
		   bool append, const void *data, size_t len)
{
	struct job job = {.run = run_write,
			  .req = req,
			  .file = file,
			  .off = off,
			  .append = append,
			  .size = len,
			  .data = malloc(len + 1)};

	if (job.data) {
		memcpy(job.data, data, len);
		submit(storing, &job);
	} else {
		storing_write_failed(storing, req, file, off, len,
				     fail_with(-ENOMEM, "out of memory"));
	}
}

void storing_zero(struct storing *storing, fuse_req_t req, struct file *file, uint64_t off,
		  uint64_t len)
{
	submit(storing,
	       &(struct job){.run = run_write, .req = req, .file = file, .off = off, .size = len});
}

void storing_truncate(struct storing *storing, fuse_req_t req, uint64_t number, struct file *file,
		      uint64_t size)
{
	submit(storing, &(struct job){.run = run_truncate,
				      .req = req,
				      .number = number,
				      .file = file,
				      .size = size});
}

void storing_release(struct storing *storing, uint64_t number, struct file *file)
{
	if (!file_close_stores(file) && file_change(file) != CONTENT_EMPTIED)
		(void)!file_close(&storing->view->files, file); /* nothing that can fail */
	else
		submit(storing, &(struct job){.run = run_release, .file = file, .number = number});
}

/* ---- beginning and end ---- */

int storing_new(struct store *store, struct storing **ret)
{
	struct storing *storing = calloc(1, sizeof(*storing));
	int r;

	if (!storing)
		return fail_with(-ENOMEM, "out of memory");
	r = index_open(store, &storing->index);
	if (r == 0)
		r = pages_open(storing->index, &storing->pages);
	if (r < 0) {
		index_close(storing->index);
		free(storing);
		return r;
	}
	pthread_mutex_init(&storing->lock, NULL);
	pthread_cond_init(&storing->changed, NULL);
	storing->end = &storing->first;
	*ret = storing;
	return 0;
}

int storing_start(struct storing *storing, struct view *view)
{
	int r = tidier_start(view->store, view->drafts, &storing->tidier);

	if (r < 0)
		return r;
	storing->view = view;
	r = pthread_create(&storing->id, NULL, thread_main, storing);
	if (r)
		return fail_with(-r, "cannot start a thread: %s", strerror(r));
	storing->started = true;
	return 0;
}

void storing_close(struct storing *storing)
{
	if (!storing)
		return;
	if (storing->started) {
		pthread_mutex_lock(&storing->lock);
		storing->ending = true;
		pthread_cond_signal(&storing->changed);
		pthread_mutex_unlock(&storing->lock);
		pthread_join(storing->id, NULL);
	}
	tidier_stop(storing->tidier);
	pthread_cond_destroy(&storing->changed);
	pthread_mutex_destroy(&storing->lock);
	pages_close(storing->pages);
	index_close(storing->index);
	free(storing);
}
