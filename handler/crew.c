/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/crew.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define STACK_BYTES (128 * 1024)
#define TICK_MS 5
#define TICKS_AWAKE 200 /* a second without anything entered, then the watcher sleeps */

struct member {
	struct crew *crew;
	size_t number;
	pthread_t thread;
	bool started; /* the watcher's, once it runs */
	sem_t hired;  /* up: lead, or end */
	_Atomic(enum crew_state) state;
	_Atomic uint64_t entries;  /* how often it has entered */
	_Atomic uint64_t since_ns; /* ENTERED: since when */
};

struct crew {
	crew_lead_fn *lead;
	void *arg;		/* borrowed */
	int wake;		/* eventfd: for the watcher */
	int done;		/* eventfd: for the leader */
	size_t leader;		/* the watcher's */
	_Atomic size_t resting; /* members that could take over */
	atomic_bool asleep;	/* the watcher: wake it before you rely on it */
	atomic_bool ended;
	struct member members[CREW_MOST];
};

DEFINE_AUTO(struct crew *, crew_free)
#define AUTO_CREW AUTO(crew_free_at)

static void event_raise(int fd)
{
	/* fails only where the counter is at its end: then it is readable anyway */
	(void)!eventfd_write(fd, 1);
}

static void event_clear(int fd)
{
	eventfd_t count;

	(void)!eventfd_read(fd, &count);
}

static void *member_main(void *arg)
{
	struct member *m = arg;

	for (;;) {
		while (sem_wait(&m->hired) < 0)
			; /* EINTR */
		if (m->crew->ended)
			return NULL;
		m->crew->lead(m->crew->arg, m->number);
	}
}

/* Starts the thread of a member, which rests. */
static int member_start(struct member *m)
{
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = pthread_create(&m->thread, &attr, member_main, m);
	pthread_attr_destroy(&attr);
	if (err)
		return -err;
	m->started = true;
	m->crew->resting++;
	return 0;
}

int crew_new(crew_lead_fn *lead, void *arg, struct crew **ret)
{
	AUTO_CREW struct crew *crew = calloc(1, sizeof(*crew));
	int r = 0;

	if (!crew)
		return -ENOMEM;
	crew->lead = lead;
	crew->arg = arg;
	for (size_t i = 0; i < CREW_MOST; i++) {
		crew->members[i].crew = crew;
		crew->members[i].number = i;
		sem_init(&crew->members[i].hired, 0, 0);
	}
	crew->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	crew->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (crew->wake < 0 || crew->done < 0)
		return -errno;
	for (size_t i = 0; i < 2 && r == 0; i++)
		r = member_start(&crew->members[i]);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(crew);
	return 0;
}

void crew_free(struct crew *crew)
{
	if (!crew)
		return;
	crew->ended = true;
	for (size_t i = 0; i < CREW_MOST; i++) {
		struct member *m = &crew->members[i];

		if (m->started) {
			sem_post(&m->hired);
			pthread_join(m->thread, NULL);
		}
		sem_destroy(&m->hired);
	}
	if (crew->wake >= 0)
		close(crew->wake);
	if (crew->done >= 0)
		close(crew->done);
	free(crew);
}

/* ---- the watcher ---- */

static void hire(struct crew *crew, struct member *m)
{
	crew->resting--;
	crew->leader = m->number;
	m->state = CREW_LEADS;
	sem_post(&m->hired);
}

static struct member *resting_find(struct crew *crew)
{
	for (size_t i = 0; i < CREW_MOST; i++)
		if (crew->members[i].started && crew->members[i].state == CREW_RESTS)
			return &crew->members[i];
	return NULL;
}

/* Somebody more, so that whoever leads next may enter too. Without one it may not. */
static void reserve(struct crew *crew)
{
	if (crew->resting > 1)
		return;
	for (size_t i = 0; i < CREW_MOST; i++)
		if (!crew->members[i].started) {
			(void)!member_start(&crew->members[i]);
			return;
		}
}

/* Takes the lead from who has been in something for too long. */
static void look(struct crew *crew)
{
	struct member *m = &crew->members[crew->leader];
	enum crew_state entered = CREW_ENTERED;
	uint64_t since_ns = m->since_ns; /* before the clock: never later than now */
	struct member *next;

	if (m->state != CREW_ENTERED || clock_monotonic_ns() - since_ns < CREW_PATIENCE_NS)
		return;
	reserve(crew);
	next = resting_find(crew);
	if (next && atomic_compare_exchange_strong(&m->state, &entered, CREW_BEHIND))
		hire(crew, next);
}

static uint64_t entries(const struct crew *crew)
{
	return crew->members[crew->leader].entries;
}

/* Nothing was entered for a while: sleeps until somebody is about to. */
static void sleep_until_entered(struct crew *crew)
{
	struct pollfd p = {.fd = crew->wake, .events = POLLIN};
	uint64_t seen = entries(crew);

	crew->asleep = true;
	/* who entered before that did not see it: look again */
	if (seen == entries(crew) && crew->members[crew->leader].state != CREW_ENTERED)
		(void)poll(&p, 1, -1);
	crew->asleep = false;
	event_clear(crew->wake);
}

void crew_run(struct crew *crew)
{
	struct pollfd p = {.fd = crew->wake, .events = POLLIN};
	unsigned int idle = 0;
	uint64_t seen = 0;

	hire(crew, &crew->members[0]);
	while (!crew->ended) {
		if (poll(&p, 1, TICK_MS) > 0)
			event_clear(crew->wake);
		look(crew);
		idle = seen == entries(crew) ? idle + 1 : 0;
		seen = entries(crew);
		if (idle >= TICKS_AWAKE && !crew->ended) {
			sleep_until_entered(crew);
			idle = 0;
		}
	}
}

/* ---- the leader ---- */

void crew_end(struct crew *crew)
{
	crew->ended = true;
	event_raise(crew->wake);
}

bool crew_may_enter(const struct crew *crew)
{
	return crew->resting > 0;
}

void crew_enter(struct crew *crew, size_t member)
{
	struct member *m = &crew->members[member];

	atomic_store_explicit(&m->entries, m->entries + 1, memory_order_relaxed);
	atomic_store_explicit(&m->since_ns, clock_monotonic_ns(), memory_order_relaxed);
	m->state = CREW_ENTERED; /* and only then: is the watcher asleep? */
	if (crew->asleep)
		event_raise(crew->wake);
}

bool crew_leave(struct crew *crew, size_t member)
{
	enum crew_state entered = CREW_ENTERED;

	return atomic_compare_exchange_strong(&crew->members[member].state, &entered, CREW_LEADS);
}

void crew_done(struct crew *crew, size_t member)
{
	crew->members[member].state = CREW_DONE;
	event_raise(crew->done);
}

int crew_fd(const struct crew *crew)
{
	return crew->done;
}

void crew_clear(struct crew *crew)
{
	event_clear(crew->done);
}

enum crew_state crew_state(const struct crew *crew, size_t member)
{
	return crew->members[member].state;
}

void crew_collect(struct crew *crew, size_t member)
{
	crew->members[member].state = CREW_RESTS;
	crew->resting++;
}
