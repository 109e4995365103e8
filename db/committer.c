/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/committer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

struct committer {
	struct steps *steps; /* borrowed */
	pthread_t thread;
	bool started; /* a step that was not waited for; of the caller's thread */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct step *step; /* borrowed: to be committed; NULL: none; protected by mutex */
	bool stop;	   /* protected by mutex */
	/* of the last step, until it was waited for; protected by mutex */
	size_t missing;
	int result;
	char text[FAIL_TEXT_MAX];
};

static void *committer_main(void *argument)
{
	struct committer *c = argument;

	pthread_mutex_lock(&c->mutex);
	for (;;) {
		struct step *step;
		size_t missing = 0;
		int r;

		while (!c->step && !c->stop)
			pthread_cond_wait(&c->changed, &c->mutex);
		step = c->step;
		if (!step)
			break;
		pthread_mutex_unlock(&c->mutex);
		r = step_commit(c->steps, step, &missing);
		pthread_mutex_lock(&c->mutex);
		c->result = r;
		c->missing = missing;
		if (r < 0)
			fail_copy(r, c->text);
		c->step = NULL;
		pthread_cond_signal(&c->changed);
	}
	pthread_mutex_unlock(&c->mutex);
	return NULL;
}

int committer_new(struct steps *steps, struct committer **ret)
{
	struct committer *c = calloc(1, sizeof(*c));
	int error;

	if (!c)
		return fail_with(-ENOMEM, "out of memory");
	c->steps = steps;
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->changed, NULL);
	error = pthread_create(&c->thread, NULL, committer_main, c);
	if (error) {
		pthread_cond_destroy(&c->changed);
		pthread_mutex_destroy(&c->mutex);
		free(c);
		return fail_with(-error, "starting a thread: %s", strerror(error));
	}
	*ret = c;
	return 0;
}

void committer_free(struct committer *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->mutex);
	c->stop = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->mutex);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->mutex);
	free(c);
}

bool committer_has_step(const struct committer *c)
{
	return c->started;
}

bool committer_is_busy(struct committer *c)
{
	bool busy;

	pthread_mutex_lock(&c->mutex);
	busy = c->step;
	pthread_mutex_unlock(&c->mutex);
	return busy;
}

void committer_start(struct committer *c, struct step *step)
{
	pthread_mutex_lock(&c->mutex);
	c->step = step;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->mutex);
	c->started = true;
}

int committer_wait(struct committer *c, size_t *ret_missing)
{
	int r;

	pthread_mutex_lock(&c->mutex);
	while (c->step)
		pthread_cond_wait(&c->changed, &c->mutex);
	r = c->result;
	if (r < 0)
		fail_with(r, "%s", c->text);
	*ret_missing = c->missing;
	pthread_mutex_unlock(&c->mutex);
	c->started = false;
	return r;
}
