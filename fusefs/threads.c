/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/threads.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fail.h"
#include "fusefs/fuse.h"
#include "fusefs/lead.h"

/* Two to four were best on two cores; more wait for one another. */
#define THREADS 4
#define QUICK_BYTES (64U << 10) /* to read or to write: some 20 us of decoding */

struct thread {
	struct worker worker;
	struct led led;
	struct threads *all; /* borrowed */
	pthread_t id;
};

struct threads {
	struct fuse_session *session; /* borrowed */
	int ended_fd;		      /* eventfd */
	size_t started;
	atomic_size_t ended;
	atomic_int error; /* of the first that failed, or 0 */
	struct lead lead;
	struct thread threads[THREADS];
};

static _Thread_local struct thread *current;

struct worker *threads_current(void)
{
	return &current->worker;
}

/* 1, 0 at the end of the session, or -errno. */
static int receive(struct fuse_session *session, struct fuse_buf *request)
{
	int r;

	do {
		r = fuse_session_receive_buf(session, request);
	} while (r == -EINTR || r == -EAGAIN);
	return MIN(r, 1);
}

/* Does the answer take memory and time only, unless thread_waits says so? */
static bool is_quick(const struct fuse_buf *request)
{
	const struct fuse_in_header *header = request->mem;
	const struct fuse_read_in *in = (const void *)(header + 1);

	if (header->opcode == FUSE_READ && request->size >= sizeof(*header) + sizeof(*in))
		return in->size <= QUICK_BYTES;
	return header->opcode == FUSE_WRITE && header->len <= QUICK_BYTES + PAGE_BYTES;
}

/* What the leader answers is about to wait for the store. */
static void thread_waits(void *arg)
{
	struct thread *thread = arg;

	lead_give(&thread->all->lead, &thread->led);
	index_on_wait(thread->worker.index, NULL, NULL);
}

/* Receives and answers one request. Returns as receive. */
static int serve_one(struct thread *thread, struct fuse_buf *request)
{
	struct fuse_session *session = thread->all->session;
	struct lead *lead = &thread->all->lead;
	int fd = fuse_session_fd(session);
	int r;

	lead_wait(lead, &thread->led, fd);
	r = receive(session, request);
	if (r <= 0)
		return r;
	lead_received(lead, &thread->led, fd);
	if (!is_quick(request))
		lead_give(lead, &thread->led);
	index_on_wait(thread->worker.index, thread->led.leads ? thread_waits : NULL, thread);
	fuse_session_process_buf(session, request);
	return 1;
}

static void *thread_main(void *argument)
{
	struct thread *thread = argument;
	struct threads *all = thread->all;
	struct fuse_buf request = {.mem = NULL}; /* libfuse allocates and knows the size */
	int none = 0;
	int r;

	current = thread;
	do {
		r = serve_one(thread, &request);
	} while (r > 0);
	lead_end(&all->lead);
	free(request.mem);
	if (r < 0)
		atomic_compare_exchange_strong(&all->error, &none, r);
	atomic_fetch_add(&all->ended, 1);
	/* an eventfd refuses a write only when its counter is at its limit */
	(void)!write(all->ended_fd, &(uint64_t){1}, sizeof(uint64_t));
	return NULL;
}

static int worker_open(struct worker *worker, struct store *store)
{
	int r = index_open(store, &worker->index);

	if (r == 0)
		r = index_keep_little(worker->index);
	if (r == 0)
		r = pages_open(worker->index, &worker->pages);
	if (r < 0)
		return r;
	worker->reply = malloc(THREADS_REPLY_BYTES);
	return worker->reply ? 0 : fail_with(-ENOMEM, "out of memory");
}

static void worker_close(struct worker *worker)
{
	free(worker->reply);
	pages_close(worker->pages);
	index_close(worker->index);
}

int threads_open(struct store *store, uint64_t spin, struct threads **ret)
{
	AUTO(threads_close_at) struct threads *threads = calloc(1, sizeof(*threads));
	int r;

	if (!threads)
		return fail_with(-ENOMEM, "out of memory");
	lead_init(&threads->lead, spin);
	threads->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (threads->ended_fd < 0)
		return fail_with(-errno, "cannot make an eventfd: %s", strerror(errno));
	for (size_t i = 0; i < THREADS; i++) {
		threads->threads[i].all = threads;
		r = worker_open(&threads->threads[i].worker, store);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(threads);
	return 0;
}

int threads_greet(struct fuse_session *session)
{
	struct fuse_buf request = {.mem = NULL};
	int r = receive(session, &request);

	if (r > 0)
		fuse_session_process_buf(session, &request);
	free(request.mem);
	if (r < 0)
		return fail_with(r, "the kernel's first request did not come: %s", strerror(-r));
	if (r == 0 || fuse_session_exited(session))
		return fail_with(-EPROTO, "the kernel and libfuse did not agree on a protocol");
	return 0;
}

int threads_start(struct threads *threads, struct fuse_session *session)
{
	threads->session = session;
	for (size_t i = 0; i < THREADS; i++) {
		int err = pthread_create(&threads->threads[i].id, NULL, thread_main,
					 &threads->threads[i]);

		if (err)
			return fail_with(-err, "cannot start a thread: %s", strerror(err));
		threads->started++;
	}
	return 0;
}

int threads_fd(const struct threads *threads)
{
	return threads->ended_fd;
}

size_t threads_running(struct threads *threads, int *ret_error)
{
	uint64_t count;

	/* EAGAIN: emptied before */
	(void)!read(threads->ended_fd, &count, sizeof(count));
	*ret_error = atomic_load(&threads->error);
	return threads->started - atomic_load(&threads->ended);
}

void threads_close(struct threads *threads)
{
	if (!threads)
		return;
	for (size_t i = 0; i < threads->started; i++)
		pthread_join(threads->threads[i].id, NULL);
	for (size_t i = 0; i < THREADS; i++)
		worker_close(&threads->threads[i].worker);
	lead_done(&threads->lead);
	if (threads->ended_fd >= 0)
		close(threads->ended_fd);
	free(threads);
}
