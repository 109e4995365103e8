/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The round: wait -> drain -> (late) -> plan -> serve -> (fill).
 *
 * 1. Every fault read is served or kept. Nothing else that comes with it changes
 *    that: what ends the session is noted, and takes effect when the faults read
 *    with it are served (or, should a removal be stuck, a little later).
 * 2. Removals are applied when they are read, pages looked at only when a round
 *    has read all it will. The kernel hands out faults before removals, whatever
 *    happened first; a page whose removal has been read is zero from then on.
 * 3. Only an ioctl says that a page is present. A copy that succeeded can be
 *    zapped by the removal that was just read; its next fault comes as any other.
 * 4. What meets a removal under way (EAGAIN) is kept, and planned again, since it
 *    may be removed by now. While something is kept no wait is without end.
 * 5. A waiter for a page that was there already must be woken by hand.
 * 6. Every way out is an end with a name. Nothing is retried without a pause or
 *    progress.
 * 7. Whoever reads the image may lose the lead in it (END_LEFT) and then touches
 *    nothing here. So what a round has still to do is in struct session, and the next
 *    leader begins with it. Bytes that come later are installed like any others: page
 *    by page as the page is by then, which a removal may have changed.
 */
#include "config.h"

#include "handler/session-private.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

#define DRAIN_READS_MOST 4 /* so that a flood of messages cannot hold up the serving */
#define LOOKS_MOST 64	   /* in a row, without a wait that sees all there is */
#define DELAY_LEAST_NS (50 * NS_PER_US)
#define DELAY_MOST_NS (10 * NS_PER_MS)
#define PATIENCE_NS (200 * NS_PER_US) /* in which who removed usually goes on */
#define GRACE_NS (100 * NS_PER_MS)    /* for faults that an end finds kept */
#define HELD_UP_NS (250 * NS_PER_MS)  /* the source tells when it goes on; looked at as often */

static void session_lead(void *arg, size_t member);

static int zeros_make(struct session *s, size_t len)
{
	void *map = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return -ENOMEM;
	s->zeros = map;
	s->zeros_len = len;
	return 0;
}

int session_new(const struct session_setup *setup, struct session **ret)
{
	AUTO_SESSION struct session *s = calloc(1, sizeof(*s));
	size_t longest = MAX((size_t)BATCH_RUN_MOST, regions_page_largest(&setup->shared->regions));
	int r;

	if (!s)
		return -ENOMEM;
	s->with = *setup;
	s->counters = &setup->shared->counters;
	s->pages = (struct page_states){
		.regions = &setup->shared->regions,
		.removed = &setup->shared->removed,
		.zero = source_zero(setup->source),
	};
	s->install = (struct installer){.uffd = setup->uffd, .shared = setup->shared};
	s->delay_ns = DELAY_LEAST_NS;
	spin_init(&s->spin, setup->spin_ns, LOOKS_MOST);
	batch_init(&s->batch);
	r = zeros_make(s, longest);
	if (r == 0)
		r = crew_new(session_lead, s, &s->crew);
	if (r < 0)
		return r;
	r = supply_new(&(struct supply_setup){.source = setup->source,
					      .shared = setup->shared,
					      .crew = s->crew,
					      .channel = setup->channel,
					      .timeout_ns = setup->source_timeout_ns,
					      .buffer_len = longest},
		       &s->supply);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	crew_free(s->crew);
	supply_free(s->supply);
	if (s->zeros)
		munmap((void *)s->zeros, s->zeros_len);
	batch_done(&s->batch);
	free(s);
}

/* ---- wait ---- */

/* NULL: as long as it takes. */
static const struct timespec *patience(const struct session *s, struct timespec *room)
{
	bool filling = s->with.fill && !s->fill_ns;

	*room = (struct timespec){0};
	if (s->deferred || (filling && !s->install.progress))
		room->tv_nsec = (long)s->delay_ns;
	else if (s->noted)
		room->tv_nsec = (long)DELAY_MOST_NS;
	else if (!filling && (s->waiting_ns || supply_is_held_up(s->supply)))
		room->tv_nsec = (long)HELD_UP_NS;
	else if (!filling)
		return NULL;
	return room;
}

static enum end wait_for_work(struct session *s)
{
	struct pollfd fds[2 + SUPPLY_WATCHES] = {
		{.fd = s->with.uffd, .events = POLLIN},
		{.fd = s->with.peer, .events = POLLIN},
	};
	struct timespec room;
	const struct timespec *most = patience(s, &room);
	uint64_t since_ns = most ? 0 : clock_monotonic_ns();

	if (!most && spin_look(&s->spin, s->with.uffd)) {
		counter_add(&s->counters->sleeps_saved, 1);
		return END_NONE;
	}
	supply_watch(s->supply, &fds[2]);
	if (ppoll(fds, ARRAY_SIZE(fds), most, NULL) < 0)
		return errno == EINTR ? END_NONE
				      : shared_end(s->with.shared, END_DESCRIPTOR_ENDED, "poll: %s",
						   strerror(errno));
	if (fds[1].revents)
		return shared_end(s->with.shared, END_MACHINE_GONE, "its process has ended");
	if (fds[0].revents && !(fds[0].revents & POLLIN))
		return shared_end(s->with.shared, END_DESCRIPTOR_ENDED,
				  "poll of the userfaultfd says 0x%x",
				  (unsigned int)fds[0].revents);
	if (!most && fds[0].revents)
		spin_learn(&s->spin, clock_monotonic_ns() - since_ns);
	return supply_turn(s->supply, &fds[2], s->waiting_ns);
}

/* ---- drain ---- */

/* The buffer holds zeros where nothing was read, so that a successor can tell. */
static ssize_t messages_read(struct session *s)
{
	struct shared *shared = s->with.shared;
	ssize_t n;

	memset(shared->messages, 0, s->messages_used * UFFD_MESSAGE_BYTES);
	n = uffd_read(s->with.uffd, shared->messages, sizeof(shared->messages));
	s->messages_used = n > 0 ? (size_t)n : 0;
	return n;
}

static void removal_apply(struct session *s, uint64_t start, uint64_t end)
{
	const struct regions *regions = s->pages.regions;
	const struct region *region = regions_from(regions, start);

	counter_add(&s->counters->removals, 1);
	for (; region && region < regions_end(regions) && region->va < end; region++) {
		uint64_t va = 0;
		uint64_t len = region_clip(region, start, end, &va);

		if (len == 0)
			continue;
		bitmap_set(&s->with.shared->removed, region_off(region, va) / REGIONS_PAGE,
			   len / REGIONS_PAGE);
		counter_add(&s->counters->removed_bytes, len);
	}
}

/* What one message means. An end it brings does not stop the others. */
static enum end message_take(struct session *s, size_t i, uint64_t now)
{
	struct uffd_event event = uffd_decode(s->with.shared->messages, i);
	AUTO_CLOSE int fd = event.fd;

	switch (event.kind) {
	case UFFD_FAULT:
		counter_add(&s->counters->faults, 1);
		if (batch_add(&s->batch, event.va, now) < 0)
			return shared_end(s->with.shared, END_OUT_OF_MEMORY,
					  "no memory for a fault");
		return END_NONE;
	case UFFD_REMOVE:
		removal_apply(s, event.va, event.end);
		s->install.patient_until_ns = now + PATIENCE_NS;
		return END_NONE;
	case UFFD_OTHER_FAULT:
		return shared_end(s->with.shared, END_UNEXPECTED_EVENT,
				  "a write-protect or minor fault at address 0x%" PRIx64, event.va);
	case UFFD_OTHER:
	case UFFD_BLANK:
		break;
	}
	return shared_end(s->with.shared, END_UNEXPECTED_EVENT, "event 0x%x on the userfaultfd",
			  event.number);
}

static enum end messages_take(struct session *s, size_t n, uint64_t now)
{
	enum end end = END_NONE;

	counter_add(&s->counters->batches, 1);
	counter_add(&s->counters->sizes[counters_bucket(n, COUNTERS_SIZES)], 1);
	for (size_t i = 0; i < n; i++) {
		enum end e = message_take(s, i, now);

		end = end ? end : e;
	}
	return end;
}

static enum end drain(struct session *s)
{
	uint64_t now = clock_monotonic_ns();
	enum end end = END_NONE;

	for (int reads = 0; reads < DRAIN_READS_MOST && !end; reads++) {
		ssize_t n = messages_read(s);

		if (n == -EAGAIN)
			break;
		if (n == 0)
			return shared_end(s->with.shared, END_DESCRIPTOR_ENDED,
					  "end of file on the userfaultfd");
		if (n < 0)
			return shared_end(s->with.shared, END_DESCRIPTOR_ENDED,
					  "read of the userfaultfd: %s", strerror((int)-n));
		end = messages_take(s, (size_t)n, now);
		if (n < SHARED_MESSAGES)
			break; /* the kernel had no more: saves a call that says EAGAIN */
	}
	return end;
}

/* ---- the round ---- */

/* An end that messages brought: the first stays. */
static void note(struct session *s, enum end end)
{
	if (!end || s->noted)
		return;
	s->noted = end;
	s->noted_ns = clock_monotonic_ns();
}

static bool noted_is_due(const struct session *s)
{
	return s->noted &&
	       (s->batch.nfaults == 0 || clock_monotonic_ns() - s->noted_ns >= GRACE_NS);
}

/* The rest of a round, from the serving on; also of one that another thread began. */
static enum end round_finish(struct session *s)
{
	enum end end = session_serve(s);

	if (end == END_LEFT)
		return end;
	if (noted_is_due(s) || (s->noted && end))
		return s->noted;
	if (!end && s->with.fill && s->batch.nfaults == 0)
		end = session_fill(s);
	if (end == END_LEFT)
		return end;
	s->delay_ns = s->install.progress ? DELAY_LEAST_NS : MIN(2 * s->delay_ns, DELAY_MOST_NS);
	return end;
}

static enum end round_run(struct session *s)
{
	enum end end;

	counter_add(&s->counters->rounds, 1);
	s->install.progress = false;
	note(s, drain(s));
	end = session_serve_late(s);
	if (!end)
		end = session_plan(s);
	if (end == END_LEFT)
		return end;
	if (end) /* what was noted first is the reason */
		return s->noted ? s->noted : end;
	return round_finish(s);
}

static void session_lead(void *arg, size_t member)
{
	struct session *s = arg;
	enum end end;

	s->member = member;
	end = round_finish(s);
	while (!end) {
		end = wait_for_work(s);
		if (!end)
			end = round_run(s);
	}
	if (end == END_LEFT)
		return;
	s->end = end;
	crew_end(s->crew);
}

enum end session_run(struct session *s)
{
	s->install.progress = true;
	crew_run(s->crew);
	return s->end;
}
