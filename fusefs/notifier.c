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
#include "fusefs/fuse.h"

#define WAITING_MOST 16

struct notifier {
	struct fuse_session *session; /* borrowed */
	pthread_t id;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* monotonic clock */
	/* Protected by lock. */
	uint64_t numbers[WAITING_MOST]; /* a ring: what is to be dropped */
	uint64_t asked;			/* how many there ever were */
	uint64_t done;			/* of those */
	bool ending;
};

static void *thread_main(void *argument)
{
	struct notifier *notifier = argument;

	pthread_mutex_lock(&notifier->lock);
	for (;;) {
		uint64_t number;

		while (notifier->done == notifier->asked && !notifier->ending)
			pthread_cond_wait(&notifier->changed, &notifier->lock);
		if (notifier->ending)
			break;
		number = notifier->numbers[notifier->done % WAITING_MOST];
		pthread_mutex_unlock(&notifier->lock);
		/* -ENOENT: the kernel has forgotten the node, pages and all */
		(void)fuse_lowlevel_notify_inval_inode(notifier->session, number, 0, 0);
		pthread_mutex_lock(&notifier->lock);
		notifier->done++;
		pthread_cond_broadcast(&notifier->changed);
	}
	pthread_mutex_unlock(&notifier->lock);
	return NULL;
}

int notifier_start(struct fuse_session *session, struct notifier **ret)
{
	struct notifier *notifier = calloc(1, sizeof(*notifier));
	pthread_condattr_t attr;
	int err;

	if (!notifier)
		return fail_with(-ENOMEM, "out of memory");
	notifier->session = session;
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

void notifier_close(struct notifier *notifier)
{
	if (!notifier)
		return;
	pthread_mutex_lock(&notifier->lock);
	notifier->ending = true;
	pthread_cond_broadcast(&notifier->changed);
	pthread_mutex_unlock(&notifier->lock);
	pthread_join(notifier->id, NULL);
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
	while (notifier->done < mine && r == 0)
		r = pthread_cond_timedwait(&notifier->changed, &notifier->lock, &until);
	pthread_mutex_unlock(&notifier->lock);
}
