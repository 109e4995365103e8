/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/balloon.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fail.h"

#define RING 64

struct removal {
	uint64_t pgno;
	uint64_t count;
};

struct balloon {
	const struct memory *memory; /* borrowed */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;	   /* anything below, which lock protects */
	struct removal ring[RING]; /* in order, the oldest at head */
	size_t head;
	size_t waiting; /* with the one at work */
	bool ending;
	int err; /* the first removal that failed, and its words */
	char err_text[FAIL_TEXT_MAX];
};

/* With the lock held, which it gives up for the removal itself. */
static void remove_oldest(struct balloon *balloon)
{
	struct removal removal = balloon->ring[balloon->head];
	int r;

	pthread_mutex_unlock(&balloon->lock);
	r = memory_remove(balloon->memory, removal.pgno, removal.count);
	pthread_mutex_lock(&balloon->lock);
	if (r < 0 && balloon->err == 0) {
		balloon->err = r;
		fail_copy(r, balloon->err_text);
	}
	balloon->head = (balloon->head + 1) % RING;
	balloon->waiting--;
	pthread_cond_broadcast(&balloon->changed);
}

static void *run(void *arg)
{
	struct balloon *balloon = arg;

	pthread_mutex_lock(&balloon->lock);
	while (!balloon->ending || balloon->waiting > 0) {
		if (balloon->waiting > 0)
			remove_oldest(balloon);
		else
			pthread_cond_wait(&balloon->changed, &balloon->lock);
	}
	pthread_mutex_unlock(&balloon->lock);
	return NULL;
}

struct balloon *balloon_new(const struct memory *memory)
{
	AUTO_FREE struct balloon *balloon = calloc(1, sizeof(*balloon));

	if (!balloon)
		return NULL;
	balloon->memory = memory;
	pthread_mutex_init(&balloon->lock, NULL);
	pthread_cond_init(&balloon->changed, NULL);
	if (pthread_create(&balloon->thread, NULL, run, balloon) != 0)
		return NULL;
	return TAKE_PTR(balloon);
}

void balloon_free(struct balloon *balloon)
{
	if (!balloon)
		return;
	pthread_mutex_lock(&balloon->lock);
	balloon->ending = true;
	pthread_cond_broadcast(&balloon->changed);
	pthread_mutex_unlock(&balloon->lock);
	pthread_join(balloon->thread, NULL);
	pthread_cond_destroy(&balloon->changed);
	pthread_mutex_destroy(&balloon->lock);
	free(balloon);
}

void balloon_give(struct balloon *balloon, uint64_t pgno, uint64_t count)
{
	pthread_mutex_lock(&balloon->lock);
	while (balloon->waiting == RING)
		pthread_cond_wait(&balloon->changed, &balloon->lock);
	balloon->ring[(balloon->head + balloon->waiting++) % RING] =
		(struct removal){.pgno = pgno, .count = count};
	pthread_cond_broadcast(&balloon->changed);
	pthread_mutex_unlock(&balloon->lock);
}

int balloon_wait(struct balloon *balloon)
{
	int r;

	pthread_mutex_lock(&balloon->lock);
	while (balloon->waiting > 0)
		pthread_cond_wait(&balloon->changed, &balloon->lock);
	r = balloon->err;
	if (r < 0)
		fail_with(r, "%s", balloon->err_text);
	pthread_mutex_unlock(&balloon->lock);
	return r;
}
