/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/supply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "handler/channel.h"

#define RANGES_MOST 64	      /* of one announcement: what is more is read when its turn comes */
#define MESSAGES_MOST 16      /* of the keeper in one turn */
#define STOPPED_NS NS_PER_SEC /* between two turns, while one is wanted now and then */

struct range {
	uint64_t off;
	uint64_t len;
};

/* One opening of the file. */
struct opening {
	int fd;		     /* owned, but for the first, which is the source's */
	unsigned int users;  /* readings, and 1 while it is the current one */
	uint32_t generation; /* the keeper's number for it */
};

/* What a member is at. It is the member's between crew_enter() and crew_leave(), or
 * crew_done(); but what was put in before stays as it is, and the leader may look. */
struct work {
	struct run run;		 /* len 0 for an announcement */
	struct opening *opening; /* borrowed, counted */
	uint64_t since_ns;
	bool fill;
	struct range ranges[RANGES_MOST];
	size_t nranges;
	unsigned char *buffer; /* owned; NULL before the first read */
	int err;
	char text[FAIL_TEXT_MAX]; /* of err */
};

struct supply {
	struct supply_setup with;
	struct opening *current; /* owned, counted; NULL: lost */
	uint32_t lost_generation;
	bool lost_unsaid; /* the keeper could not be told yet */
	bool keeper_gone;
	uint64_t looked_ns;  /* at the clock, for the last time */
	uint64_t counted_ns; /* what was waited before that does not count */
	size_t done;	     /* the member whose reading is being used */
	struct work works[CREW_MOST];
};

DEFINE_AUTO(struct supply *, supply_free)

/* ---- openings ---- */

static struct opening *opening_new(int fd, uint32_t generation)
{
	struct opening *opening = malloc(sizeof(*opening));

	if (opening)
		*opening = (struct opening){.fd = fd, .users = 1, .generation = generation};
	return opening;
}

static void opening_drop(const struct supply *supply, struct opening *opening)
{
	if (!opening || --opening->users > 0)
		return;
	if (opening->generation != source_generation(supply->with.source))
		close(opening->fd);
	free(opening);
}

int supply_new(const struct supply_setup *setup, struct supply **ret)
{
	AUTO(supply_free_at) struct supply *supply = calloc(1, sizeof(*supply));

	if (!supply)
		return -ENOMEM;
	supply->with = *setup;
	supply->current = opening_new(source_fd(setup->source), source_generation(setup->source));
	if (!supply->current)
		return -ENOMEM;
	*ret = TAKE_PTR(supply);
	return 0;
}

void supply_free(struct supply *supply)
{
	if (!supply)
		return;
	for (size_t i = 0; i < CREW_MOST; i++) {
		struct work *work = &supply->works[i];

		opening_drop(supply, work->opening);
		if (work->buffer)
			munmap(work->buffer, supply->with.buffer_len);
	}
	opening_drop(supply, supply->current);
	free(supply);
}

/* ---- what the keeper hears ---- */

static void hold_up_tell(const struct supply *supply)
{
	__atomic_store_n(&supply->with.shared->held_up, supply_is_held_up(supply),
			 __ATOMIC_RELAXED);
}

static void lost_say(struct supply *supply)
{
	struct channel_message lost = {
		.kind = CHANNEL_LOST,
		.generation = supply->lost_generation,
		.fd = -1,
	};
	int r;

	if (supply->with.channel < 0 || supply->keeper_gone)
		return;
	r = channel_send(supply->with.channel, &lost);
	supply->lost_unsaid = r == -EAGAIN;
	supply->keeper_gone = r < 0 && r != -EAGAIN;
}

/* A reading has met the end of its file system. */
static void lose(struct supply *supply, const struct work *work)
{
	if (work->opening != supply->current)
		return; /* one before the current one */
	supply->lost_generation = supply->current->generation;
	opening_drop(supply, supply->current);
	supply->current = NULL;
	counter_add(&supply->with.shared->counters.lost_sources, 1);
	lost_say(supply);
}

/* ---- readings ---- */

static bool is_left(const struct supply *supply, size_t member)
{
	enum crew_state state = crew_state(supply->with.crew, member);

	return state == CREW_BEHIND || state == CREW_DONE;
}

/* Whether somebody who was left behind reads some of it. */
static bool is_being_read(const struct supply *supply, const struct run *run)
{
	for (size_t i = 0; i < CREW_MOST; i++) {
		const struct run *other = &supply->works[i].run;

		if (is_left(supply, i) && other->len > 0 && run->va < other->va + other->len &&
		    other->va < run->va + run->len)
			return true;
	}
	return false;
}

static bool buffer_make(const struct supply *supply, struct work *work)
{
	void *map;

	if (work->buffer)
		return true;
	map = mmap(NULL, supply->with.buffer_len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return false;
	work->buffer = map;
	return true;
}

static void work_begin(struct supply *supply, struct work *work)
{
	work->opening = supply->current;
	work->opening->users++;
	work->since_ns = clock_monotonic_ns();
}

static void work_end(const struct supply *supply, struct work *work)
{
	opening_drop(supply, work->opening);
	work->opening = NULL;
	work->run.len = 0;
}

/* What the result of a reading means. */
static enum supply_answer judge(struct supply *supply, const struct work *work)
{
	if (work->err == 0)
		return SUPPLY_HERE;
	if (work->err == -ENOTCONN) {
		lose(supply, work);
		return SUPPLY_LATER;
	}
	if (work->run.before + work->run.after > 0)
		return SUPPLY_LESS;
	(void)shared_end(supply->with.shared, END_SOURCE_FAILED, "%s", work->text);
	return SUPPLY_FAILED;
}

enum supply_answer supply_read(struct supply *supply, size_t member, const struct run *run,
			       bool fill, const unsigned char **ret_data)
{
	struct work *work = &supply->works[member];
	enum supply_answer answer;

	if (!supply->current || !crew_may_enter(supply->with.crew) || is_being_read(supply, run))
		return SUPPLY_LATER;
	if (!buffer_make(supply, work)) {
		(void)shared_end(supply->with.shared, END_OUT_OF_MEMORY, "no memory for a buffer");
		return SUPPLY_FAILED;
	}
	work->run = *run;
	work->fill = fill;
	work_begin(supply, work);
	crew_enter(supply->with.crew, member);
	work->err = source_read(supply->with.source, work->opening->fd, run->off, run->len,
				work->buffer);
	if (work->err < 0)
		fail_copy(work->err, work->text);
	if (!crew_leave(supply->with.crew, member)) {
		crew_done(supply->with.crew, member);
		return SUPPLY_LEFT;
	}
	answer = judge(supply, work);
	work_end(supply, work);
	*ret_data = work->buffer;
	return answer;
}

static size_t ranges_take(struct range *ranges, const struct batch *batch)
{
	size_t n = 0;

	for (size_t i = 0; i < batch->nruns && n < RANGES_MOST; i++)
		if (batch->runs[i].kind == RUN_DATA)
			ranges[n++] = (struct range){batch->runs[i].off, batch->runs[i].len};
	return n;
}

/* Read-ahead waits too where the queue of the daemon is full. */
enum supply_answer supply_announce(struct supply *supply, size_t member, const struct batch *batch)
{
	struct work *work = &supply->works[member];

	if (!supply->current || !crew_may_enter(supply->with.crew))
		return SUPPLY_HERE;
	work->nranges = ranges_take(work->ranges, batch);
	if (work->nranges < 2)
		return SUPPLY_HERE; /* it is read at once */
	work->err = 0;
	work_begin(supply, work);
	crew_enter(supply->with.crew, member);
	for (size_t i = 0; i < work->nranges; i++)
		source_announce(work->opening->fd, work->ranges[i].off, work->ranges[i].len);
	if (!crew_leave(supply->with.crew, member)) {
		crew_done(supply->with.crew, member);
		return SUPPLY_LEFT;
	}
	work_end(supply, work);
	return SUPPLY_HERE;
}

bool supply_next_done(struct supply *supply, struct reading *ret)
{
	for (size_t i = 0; i < CREW_MOST; i++) {
		const struct work *work = &supply->works[i];

		if (crew_state(supply->with.crew, i) != CREW_DONE)
			continue;
		supply->done = i;
		*ret = (struct reading){
			.run = work->run,
			.fill = work->fill,
			.data = work->err == 0 ? work->buffer : NULL,
		};
		return true;
	}
	return false;
}

enum end supply_collect(struct supply *supply)
{
	struct work *work = &supply->works[supply->done];
	enum supply_answer answer = judge(supply, work);

	if (work->run.len > 0) /* no announcement */
		counter_add(&supply->with.shared->counters.slow_reads, 1);
	work_end(supply, work);
	crew_collect(supply->with.crew, supply->done);
	hold_up_tell(supply);
	return answer == SUPPLY_FAILED ? END_SOURCE_FAILED : END_NONE;
}

/* ---- news ---- */

void supply_watch(const struct supply *supply, struct pollfd ret[SUPPLY_WATCHES])
{
	int channel = supply->keeper_gone ? -1 : supply->with.channel;

	ret[0] = (struct pollfd){.fd = channel, .events = POLLIN};
	ret[1] = (struct pollfd){.fd = crew_fd(supply->with.crew), .events = POLLIN};
}

bool supply_is_held_up(const struct supply *supply)
{
	for (size_t i = 0; i < CREW_MOST; i++)
		if (is_left(supply, i))
			return true;
	return !supply->current;
}

/* The file, opened again. */
static enum end file_take(struct supply *supply, const struct channel_message *message)
{
	AUTO_CLOSE int fd = message->fd;
	struct opening *opening;

	if (supply->current && message->generation <= supply->current->generation)
		return END_NONE;
	if (fd < 0) /* it would not come again */
		return shared_end(supply->with.shared, END_SOURCE_FAILED,
				  "%s was opened again, but its descriptor could not be received",
				  source_path(supply->with.source));
	opening = opening_new(fd, message->generation);
	if (!opening)
		return shared_end(supply->with.shared, END_OUT_OF_MEMORY, "no memory for a file");
	fd = -1;
	opening_drop(supply, supply->current);
	supply->current = opening;
	supply->lost_unsaid = false;
	return END_NONE;
}

static enum end message_take(struct supply *supply, const struct channel_message *message)
{
	switch (message->kind) {
	case CHANNEL_FILE:
		return file_take(supply, message);
	case CHANNEL_CHANGED:
		return shared_end(
			supply->with.shared, END_SOURCE_FAILED,
			"%s is, or may be, another image now than the machine was begun with",
			source_path(supply->with.source));
	default:
		if (message->fd >= 0)
			close(message->fd);
		return END_NONE;
	}
}

static enum end messages_take(struct supply *supply)
{
	enum end end = END_NONE;

	for (int i = 0; i < MESSAGES_MOST && !end && !supply->keeper_gone; i++) {
		struct channel_message message;
		int r = channel_receive(supply->with.channel, &message);

		if (r == -EAGAIN)
			break;
		if (r <= 0)
			supply->keeper_gone = true;
		else
			end = message_take(supply, &message);
	}
	return end;
}

/* Who was stopped, and maybe its source with it, has not waited: what went by meanwhile
 * does not count. */
static void stop_look(struct supply *supply, uint64_t now)
{
	if (now - supply->looked_ns >= STOPPED_NS)
		supply->counted_ns = now;
	supply->looked_ns = now;
}

/* The oldest of what is waited for; UINT64_MAX: nothing is. */
static uint64_t oldest(const struct supply *supply, uint64_t waiting_ns)
{
	uint64_t since = waiting_ns ? waiting_ns : UINT64_MAX;

	for (size_t i = 0; i < CREW_MOST; i++)
		if (crew_state(supply->with.crew, i) == CREW_BEHIND)
			since = MIN(since, supply->works[i].since_ns);
	return MAX(since, supply->counted_ns);
}

static enum end patience_check(struct supply *supply, uint64_t waiting_ns)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t timeout = supply->with.timeout_ns;
	uint64_t since;

	stop_look(supply, now);
	since = oldest(supply, waiting_ns);

	if (!supply->current && (supply->keeper_gone || supply->with.channel < 0))
		return shared_end(supply->with.shared, END_SOURCE_FAILED,
				  "the file system of %s has gone, and nobody opens it again",
				  source_path(supply->with.source));
	if (timeout && now > since && now - since >= timeout)
		return shared_end(supply->with.shared, END_SOURCE_FAILED,
				  "%s: no answer for %" PRIu64 " s",
				  source_path(supply->with.source), timeout / NS_PER_SEC);
	return END_NONE;
}

enum end supply_turn(struct supply *supply, const struct pollfd watched[SUPPLY_WATCHES],
		     uint64_t waiting_ns)
{
	enum end end = END_NONE;

	if (watched[1].revents)
		crew_clear(supply->with.crew);
	if (watched[0].revents)
		end = messages_take(supply);
	if (!end && (waiting_ns || supply_is_held_up(supply))) {
		if (supply->lost_unsaid)
			lost_say(supply);
		end = patience_check(supply, waiting_ns);
	}
	hold_up_tell(supply);
	return end;
}
