/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/tidier.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/log.h"
#include "db/index.h"

struct tidier {
	struct drafts *drafts; /* borrowed */
	struct index *index;   /* owned; of the thread */
	pthread_t id;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool wanted; /* protected by lock */
	bool ending; /* protected by lock */
};

/* Waits until it is asked for; false at the end. */
static bool wait_for_work(struct tidier *tidier)
{
	bool wanted;

	pthread_mutex_lock(&tidier->lock);
	while (!tidier->wanted && !tidier->ending)
		pthread_cond_wait(&tidier->changed, &tidier->lock);
	wanted = tidier->wanted;
	tidier->wanted = false;
	pthread_mutex_unlock(&tidier->lock);
	return wanted;
}

/* Nobody waits for it, and what fails is tried again when there is more garbage. */
static void *thread_main(void *argument)
{
	struct tidier *tidier = argument;

	while (wait_for_work(tidier)) {
		int r = drafts_tidy(tidier->drafts, tidier->index);

		if (r < 0)
			log_debug("%s", fail_text(r));
	}
	return NULL;
}

int tidier_start(struct store *store, struct drafts *drafts, struct tidier **ret)
{
	AUTO(tidier_stop_at) struct tidier *tidier = calloc(1, sizeof(*tidier));
	int r;

	if (!tidier)
		return fail_with(-ENOMEM, "out of memory");
	tidier->drafts = drafts;
	pthread_mutex_init(&tidier->lock, NULL);
	pthread_cond_init(&tidier->changed, NULL);
	r = index_open(store, &tidier->index);
	if (r < 0)
		return r;
	r = pthread_create(&tidier->id, NULL, thread_main, tidier);
	if (r)
		return fail_with(-r, "cannot start a thread: %s", strerror(r));
	tidier->started = true;
	*ret = TAKE_PTR(tidier);
	return 0;
}

void tidier_wake(struct tidier *tidier)
{
	if (!drafts_are_untidy(tidier->drafts))
		return;
	pthread_mutex_lock(&tidier->lock);
	tidier->wanted = true;
	pthread_cond_signal(&tidier->changed);
	pthread_mutex_unlock(&tidier->lock);
}

void tidier_stop(struct tidier *tidier)
{
	if (!tidier)
		return;
	if (tidier->started) {
		pthread_mutex_lock(&tidier->lock);
		tidier->ending = true;
		pthread_cond_signal(&tidier->changed);
		pthread_mutex_unlock(&tidier->lock);
		pthread_join(tidier->id, NULL);
	}
	pthread_cond_destroy(&tidier->changed);
	pthread_mutex_destroy(&tidier->lock);
	index_close(tidier->index);
	free(tidier);
}
