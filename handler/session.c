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

#include "handler/session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "handler/ahead.h"
#include "handler/batch.h"
#include "handler/crew.h"
#include "handler/install.h"
#include "handler/spin.h"
#include "handler/supply.h"

#define DRAIN_READS_MOST 4 /* so that a flood of messages cannot hold up the serving */
#define DELAY_LEAST_NS (50 * NS_PER_US)
#define DELAY_MOST_NS (10 * NS_PER_MS)
#define PATIENCE_NS (200 * NS_PER_US) /* in which who removed usually goes on */
#define GRACE_NS (100 * NS_PER_MS)    /* for faults that an end finds kept */
#define HELD_UP_NS (250 * NS_PER_MS)  /* the source tells when it goes on; looked at as often */

struct session {
	struct session_setup with;
	struct crew *crew;	   /* owned */
	struct supply *supply;	   /* owned */
	struct counters *counters; /* in shared */
	struct batch batch;
	struct page_states pages;
	const unsigned char *zeros; /* owned: the longest run of them */
	size_t zeros_len;
	size_t member;	      /* of the crew: who leads */
	size_t messages_used; /* of the buffer in shared, since the last read */
	size_t turn;	      /* of the runs in the batch: up to here they were served */
	uint64_t delay_ns;    /* of the next try, while something is kept */
	bool deferred;	      /* ... because of a removal */
	uint64_t waiting_ns;  /* since when a page waits for the source; 0: none does */
	uint64_t fill_va;     /* --fill has come up to here */
	uint64_t fill_ns;     /* it waits for the source since then; 0: it does not */
	bool unregistered;    /* ... to the end, and has given the memory back */
	enum end noted;	      /* an end that a message brought: faults come first */
	uint64_t noted_ns;
	struct installer install;
	struct spin spin;
	struct ahead ahead;
	enum end end; /* of the session: for session_run, once the crew has ended */
};

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
	spin_init(&s->spin, setup->spin_ns);
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

/* ---- serve ---- */

/* A page waits for the source since then. */
static void wait_for_source(struct session *s, uint64_t since_ns)
{
	s->waiting_ns = s->waiting_ns ? MIN(s->waiting_ns, since_ns) : since_ns;
}

/* Zeros: NULL where the kernel can make them. It has no ZEROPAGE for hugetlb. */
static const unsigned char *zeros_for(const struct session *s, const struct run *run)
{
	return run->page_size > REGIONS_PAGE ? s->zeros : NULL;
}

/* The bytes to install. *ret_later: not yet. The run loses what nobody has asked for where
 * that cannot be read. */
static enum end run_read(struct session *s, struct run *run, bool filling,
			 const unsigned char **ret_data, bool *ret_later)
{
	*ret_later = false;
	if (run->kind != RUN_DATA) {
		*ret_data = zeros_for(s, run);
		return END_NONE;
	}
	switch (supply_read(s->supply, s->member, run, filling, ret_data)) {
	case SUPPLY_HERE:
		counter_add(&s->counters->bytes, run->len);
		return END_NONE;
	case SUPPLY_LATER:
		*ret_later = true;
		return END_NONE;
	case SUPPLY_LEFT:
		return END_LEFT;
	case SUPPLY_LESS:
		ahead_fell_short(&s->ahead, run);
		run_trim(run);
		return run_read(s, run, filling, ret_data, ret_later);
	case SUPPLY_FAILED:
		break;
	}
	return END_SOURCE_FAILED;
}

/* *ret_later: nothing was installed, as the bytes are not there yet. */
static enum end run_install(struct session *s, struct run *run, bool filling, uint64_t *ret_va,
			    bool *ret_later)
{
	const unsigned char *data = NULL;
	enum end end = run_read(s, run, filling, &data, ret_later);
	bool fell_short;

	if (end || *ret_later)
		return end;
	counter_add(&s->counters->runs, 1);
	end = install_run(&s->install, run, data, ret_va, &fell_short);
	if (fell_short)
		ahead_fell_short(&s->ahead, run);
	return end;
}

static void latency_count(struct session *s, const struct run *run, uint64_t pages)
{
	uint64_t waited_us = (clock_monotonic_ns() - run->since_ns) / NS_PER_US;

	counter_add(&s->counters->latencies[counters_bucket(waited_us, COUNTERS_LATENCIES)], pages);
}

/* How many pages of what was asked for lie before va. */
static uint64_t asked_before(const struct run *run, uint64_t va)
{
	va = MIN(va, run_asked_end(run));
	return va > run_asked(run) ? (va - run_asked(run)) / run->page_size : 0;
}

static enum end run_serve(struct session *s, struct run run)
{
	uint64_t asked = asked_before(&run, run_asked_end(&run));
	uint64_t va = run.va;
	uint64_t done;
	bool later;
	enum end end = run_install(s, &run, false, &va, &later);

	if (end == END_LEFT)
		return end;
	done = asked_before(&run, va);
	if (done > 0)
		latency_count(s, &run, done);
	if (end || done == asked)
		return end;
	batch_keep(&s->batch, &run, va);
	if (later) {
		wait_for_source(s, run.since_ns);
	} else {
		s->deferred = true;
		counter_add(&s->counters->deferred_pages, asked - done);
	}
	return END_NONE;
}

/* The runs of the batch from s->turn on: zeros first, as they cost next to nothing
 * and the reads are under way. */
static enum end runs_serve(struct session *s)
{
	enum end end = END_NONE;

	while (!end && s->turn < 2 * s->batch.nruns) {
		size_t i = s->turn++;
		bool second = i >= s->batch.nruns;
		const struct run *run = &s->batch.runs[second ? i - s->batch.nruns : i];

		if ((run->kind == RUN_DATA) == second)
			end = run_serve(s, *run);
	}
	return end;
}

/* What is left of the round, for the leader that finds it. */
static enum end serve(struct session *s)
{
	enum end end = runs_serve(s);

	if (!end && s->batch.outside > 0)
		return shared_end(s->with.shared, END_FAULT_OUTSIDE,
				  "a fault at address 0x%" PRIx64 ", which is in no region",
				  s->batch.outside_va);
	return end;
}

static void look_ahead(struct session *s)
{
	struct batch *batch = &s->batch;
	uint64_t floor = 0;

	for (size_t i = 0; i < batch->nruns; i++) {
		struct run *run = &batch->runs[i];
		uint64_t ceiling = i + 1 < batch->nruns ? run[1].va : UINT64_MAX;

		ahead_extend(&s->ahead, &s->pages, run, floor, ceiling);
		counter_add(&s->counters->ahead_bytes, run->before + run->after);
		floor = run->va + run->len;
	}
}

static enum end plan(struct session *s)
{
	if (batch_plan(&s->batch, &s->pages) < 0)
		return shared_end(s->with.shared, END_OUT_OF_MEMORY, "no memory for a batch");
	counter_add(&s->counters->duplicates, s->batch.duplicates);
	if (s->with.readahead && !s->with.fill)
		look_ahead(s);
	s->turn = 0;
	s->waiting_ns = s->fill_ns;
	s->deferred = false;
	return supply_announce(s->supply, s->member, &s->batch) == SUPPLY_LEFT ? END_LEFT
									       : END_NONE;
}

/* ---- what comes late ---- */

/* Pages that nobody serves any more become faults again. */
static enum end faults_again(struct session *s, const struct run *run, uint64_t va)
{
	for (va = MAX(va, run_asked(run)); va < run_asked_end(run); va += run->page_size)
		if (batch_add(&s->batch, va, run->since_ns) < 0)
			return shared_end(s->with.shared, END_OUT_OF_MEMORY,
					  "no memory for a fault");
	return END_NONE;
}

/* As the pages are by now: some may have been removed. */
static enum end late_install(struct session *s, const struct reading *reading, uint64_t *ret_va)
{
	const struct run *run = &reading->run;
	const struct region *region = regions_find(s->pages.regions, run->va);
	uint64_t end_va = run->va + run->len;
	enum end end = END_NONE;
	uint64_t va = run->va;
	bool fell_short;

	while (va < end_va && !end) {
		struct run piece = batch_run_at(&s->pages, region, va, end_va - va);

		end = install_run(&s->install, &piece,
				  piece.kind == RUN_DATA ? reading->data + (va - run->va)
							 : zeros_for(s, &piece),
				  &va, &fell_short);
		if (va < piece.va + piece.len)
			break; /* a removal is under way */
	}
	*ret_va = va;
	return end;
}

/* --fill has gone over it; what was removed meanwhile it has gone over before. */
static void fill_reach(struct session *s, uint64_t start, uint64_t end)
{
	if (end <= start)
		return;
	counter_add(&s->counters->fill_bytes, end - start);
	s->fill_va = end;
}

static enum end late_take(struct session *s, const struct reading *reading)
{
	const struct run *run = &reading->run;
	uint64_t va = run->va;
	enum end end = END_NONE;

	if (reading->data) {
		counter_add(&s->counters->bytes, run->len);
		counter_add(&s->counters->runs, 1);
		end = late_install(s, reading, &va);
	}
	if (reading->fill)
		fill_reach(s, MAX(s->fill_va, run->va), va);
	else if (va > run->va)
		latency_count(s, run, (va - run->va) / run->page_size);
	if (end || reading->fill)
		return end;
	return faults_again(s, run, va);
}

static enum end late_serve(struct session *s)
{
	struct reading reading;
	enum end end = END_NONE;

	while (!end && supply_next_done(s->supply, &reading)) {
		enum end collected;

		if (reading.run.len > 0)
			end = late_take(s, &reading);
		collected = supply_collect(s->supply);
		end = end ? end : collected;
	}
	return end;
}

/* ---- fill ---- */

/*
 * A fault that holds only the lock of its mapping can come between what UNREGISTER
 * wakes and its end, and is then nobody's: so all are woken once more.
 */
static enum end unregister(struct session *s)
{
	const struct regions *regions = s->pages.regions;

	for (const struct region *r = regions->at; r < regions_end(regions); r++) {
		int err = uffd_unregister(s->with.uffd, r->va, r->size);

		if (err == -ENOMEM)
			return shared_end(s->with.shared, END_MACHINE_GONE, "its memory is gone");
		if (err < 0 && err != -EINVAL) /* EINVAL: it has unmapped all of it */
			return shared_end(s->with.shared, END_INSTALL_FAILED,
					  "unregister at address 0x%" PRIx64 ": %s", r->va,
					  strerror(-err));
	}
	for (const struct region *r = regions->at; r < regions_end(regions); r++)
		(void)!uffd_wake(s->with.uffd, r->va, r->size);
	s->unregistered = true;
	s->install.progress = true;
	return END_NONE;
}

/*
 * Lets go of memory that is all there. No removal may be left whose message we have
 * not read: its caller would sleep for ever. One may even have begun before the
 * unregistering and queue its message only now; so rounds go on, which read, until
 * none is under way. None can begin any more.
 */
static enum end release(struct session *s)
{
	if (!s->unregistered)
		return unregister(s);
	if (uffd_removal_pending(s->with.uffd))
		return END_NONE;
	return shared_end(s->with.shared, END_FILLED, "all of its memory is installed");
}

/* Installs the next run of the image; faults come first, so only while none wait. */
static enum end fill(struct session *s)
{
	const struct region *region = regions_from(s->pages.regions, s->fill_va);
	bool later;
	uint64_t va;
	struct run run;
	enum end end;

	if (!region)
		return release(s);
	va = MAX(s->fill_va, region->va);
	run = batch_run_at(&s->pages, region, va, BATCH_RUN_MOST);
	end = run_install(s, &run, true, &va, &later);
	if (end == END_LEFT)
		return end;
	fill_reach(s, run.va, va);
	s->fill_ns = !later ? 0 : s->fill_ns ? s->fill_ns : clock_monotonic_ns();
	s->waiting_ns = s->fill_ns; /* no fault waits, or it would not be our turn */
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
	enum end end = serve(s);

	if (end == END_LEFT)
		return end;
	if (noted_is_due(s) || (s->noted && end))
		return s->noted;
	if (!end && s->with.fill && s->batch.nfaults == 0)
		end = fill(s);
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
	end = late_serve(s);
	if (!end)
		end = plan(s);
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
