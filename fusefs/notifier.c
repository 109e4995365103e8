/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/notifier.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "db/draft.h"
#include "fusefs/fuse.h"
#include "fusefs/storing.h"
#include "fusefs/view.h"

#define WAITING_MOST 16

/* What the kernel may show of a node and could not write. */
struct loss {
	uint64_t number;
	uint64_t from;
	uint64_t to;
	struct draft *draft; /* owned: a writer's handle */
	struct loss *next;
};

struct notifier {
	struct fuse_session *session; /* borrowed */
	struct view *view;	      /* borrowed */
	pthread_t id;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* monotonic clock */
	/* Protected by lock. */
	uint64_t numbers[WAITING_MOST]; /* a ring: what is to be dropped */
	uint64_t asked;			/* how many there ever were */
	uint64_t done;			/* of those */
	struct loss *losses;		/* owned: a list, one of each node at most */
	bool ending;
};

/* With lock held, which is let go meanwhile. */
static void drop_next(struct notifier *notifier)
{
	uint64_t number = notifier->numbers[notifier->done % WAITING_MOST];

	pthread_mutex_unlock(&notifier->lock);
	/* -ENOENT: the kernel has forgotten the node, pages and all */
	(void)fuse_lowlevel_notify_inval_inode(notifier->session, number, 0, 0);
	pthread_mutex_lock(&notifier->lock);
	notifier->done++;
	pthread_cond_broadcast(&notifier->changed);
}

/* As drop_next. At the end of the session there is nothing to drop. */
static void lose_next(struct notifier *notifier)
{
	struct loss *loss = notifier->losses;
	bool ending = notifier->ending;

	notifier->losses = loss->next;
	pthread_mutex_unlock(&notifier->lock);
	if (!ending)
		(void)fuse_lowlevel_notify_inval_inode(notifier->session, loss->number,
						       (off_t)loss->from,
						       (off_t)(loss->to - loss->from));
	/* closing it may wait for the store */
	storing_let_go(notifier->view->storing, loss->draft);
	free(loss);
	pthread_mutex_lock(&notifier->lock);
}

static void *thread_main(void *argument)
{
	struct notifier *notifier = argument;

	pthread_mutex_lock(&notifier->lock);
	for (;;) {
		if (notifier->done != notifier->asked && !notifier->ending)
			drop_next(notifier);
		else if (notifier->losses)
			lose_next(notifier);
		else if (notifier->ending)
			break;
		else
			pthread_cond_wait(&notifier->changed, &notifier->lock);
	}
	pthread_mutex_unlock(&notifier->lock);
	return NULL;
}

int notifier_start(struct fuse_session *session, struct view *view, struct notifier **ret)
{
	struct notifier *notifier = calloc(1, sizeof(*notifier));
	pthread_condattr_t attr;
	int err;

	if (!notifier)
		return fail_with(-ENOMEM, "out of memory");
	notifier->session = session;
	notifier->view = view;
	pthread_mutex_init(&notifier->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&notifier->changed, &attr);
	pthread_condattr_destroy(&attr);
	err = pthread_create(&notifier->id, NULL, thread_main, notifier);
	if (err) {
		pthread_cond_destroy(&notifier->changed);
		pthread_mutex_destroy(&notifier->lock);
		free(notifier);
		return fail_with(-err, "cannot start a thread: %s", strerror(err));
	}
	*ret = notifier;
	return 0;
}

void notifier_stop(struct notifier *notifier)
{
	pthread_mutex_lock(&notifier->lock);
	notifier->ending = true;
	pthread_cond_broadcast(&notifier->changed);
	pthread_mutex_unlock(&notifier->lock);
	pthread_join(notifier->id, NULL);
}

void notifier_close(struct notifier *notifier)
{
	if (!notifier)
		return;
	pthread_cond_destroy(&notifier->changed);
	pthread_mutex_destroy(&notifier->lock);
	free(notifier);
}

void notifier_drop(struct notifier *notifier, uint64_t number, unsigned int wait_ms)
{
	uint64_t deadline = clock_monotonic_ns() + wait_ms * NS_PER_MS;
	struct timespec until = {.tv_sec = (time_t)(deadline / NS_PER_SEC),
				 .tv_nsec = (long)(deadline % NS_PER_SEC)};
	uint64_t mine;
	int r = 0;

	pthread_mutex_lock(&notifier->lock);
	/* a ring that is full holds the thread up anyway: the last place is shared */
	if (notifier->asked - notifier->done == WAITING_MOST)
		notifier->asked--;
	notifier->numbers[notifier->asked % WAITING_MOST] = number;
	mine = ++notifier->asked;
	pthread_cond_broadcast(&notifier->changed);
	while (notifier->done < mine && r == 0 && !notifier->ending)
		r = pthread_cond_timedwait(&notifier->changed, &notifier->lock, &until);
	pthread_mutex_unlock(&notifier->lock);
}

/* Adds to what is asked for already of that node, if that has not begun: its handle is
 * another, so ours is not the last and waits for nothing. With lock held. */
static bool loss_join(struct notifier *notifier, const struct loss *more)
{
	for (struct loss *loss = notifier->losses; loss; loss = loss->next) {
		if (loss->number != more->number)
			continue;
		loss->from = MIN(loss->from, more->from);
		loss->to = MAX(loss->to, more->to);
		(void)!draft_close(more->draft, true);
		return true;
	}
	return false;
}

void notifier_lose(struct notifier *notifier, uint64_t number, uint64_t off, uint64_t len,
		   struct draft *draft)
{
	const struct loss made = {.number = number, .from = off, .to = off + len, .draft = draft};
	struct loss *loss = malloc(sizeof(*loss));
	bool kept = false;
	bool ending;

	pthread_mutex_lock(&notifier->lock);
	ending = notifier->ending;
	if (!ending && !loss_join(notifier, &made)) {
		kept = !loss;
		if (loss) {
			*loss = made;
			loss->next = notifier->losses;
			notifier->losses = TAKE_PTR(loss);
			pthread_cond_broadcast(&notifier->changed);
		}
	}
	pthread_mutex_unlock(&notifier->lock);
	free(loss);
	/* wrong bytes might be read: no one is to believe that they are sealed */
	if (kept)
		log_error("%s: out of memory: it stays open for writing until the view ends",
			  draft_name(draft));
	if (ending)
		storing_let_go(notifier->view->storing, draft);
}
