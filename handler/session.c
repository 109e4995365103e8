/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The round: wait -> drain -> plan -> serve -> (fill).
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
#include "handler/batch.h"
#include "handler/install.h"

#define DRAIN_READS_MOST 4 /* so that a flood of messages cannot hold up the serving */
#define DELAY_LEAST_NS (50 * NS_PER_US)
#define DELAY_MOST_NS (10 * NS_PER_MS)
#define PATIENCE_NS (200 * NS_PER_US) /* in which who removed usually goes on */
#define GRACE_NS (100 * NS_PER_MS)    /* for faults that an end finds kept */

struct session {
	struct session_setup with;
	struct counters *counters; /* in shared */
	struct batch batch;
	struct page_states pages;
	unsigned char *buffer;	    /* owned: what is read of the source */
	const unsigned char *zeros; /* owned: a huge page of them */
	size_t buffer_len;
	size_t messages_used; /* of the buffer in shared, since the last read */
	uint64_t delay_ns;    /* of the next try, while something is kept */
	uint64_t fill_va;     /* --fill has come up to here */
	bool unregistered;    /* ... to the end, and has given the memory back */
	enum end noted;	      /* an end that a message brought: faults come first */
	uint64_t noted_ns;
	struct installer install;
};

int session_new(const struct session_setup *setup, struct session **ret)
{
	AUTO_SESSION struct session *s = calloc(1, sizeof(*s));
	void *map;

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
	batch_init(&s->batch);
	s->buffer_len = MAX((size_t)BATCH_RUN_MOST, regions_page_largest(s->pages.regions));
	map = mmap(NULL, s->buffer_len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	s->buffer = map;
	map = mmap(NULL, s->buffer_len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	s->zeros = map;
	*ret = TAKE_PTR(s);
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	if (s->buffer)
		munmap(s->buffer, s->buffer_len);
	if (s->zeros)
		munmap((void *)s->zeros, s->buffer_len);
	batch_done(&s->batch);
	free(s);
}

/* ---- wait ---- */

/* NULL: as long as it takes. */
static const struct timespec *patience(const struct session *s, struct timespec *room)
{
	bool filling = s->with.fill;

	*room = (struct timespec){0};
	if (s->batch.nfaults == 0 && !filling)
		return NULL;
	if (s->batch.nfaults > 0 || !s->install.progress)
		room->tv_nsec = (long)s->delay_ns;
	return room;
}

static enum end wait_for_work(struct session *s)
{
	struct pollfd fds[] = {
		{.fd = s->with.uffd, .events = POLLIN},
		{.fd = s->with.peer, .events = POLLIN},
	};
	struct timespec room;

	if (ppoll(fds, ARRAY_SIZE(fds), patience(s, &room), NULL) < 0)
		return errno == EINTR ? END_NONE
				      : shared_end(s->with.shared, END_DESCRIPTOR_ENDED, "poll: %s",
						   strerror(errno));
	if (fds[1].revents)
		return shared_end(s->with.shared, END_MACHINE_GONE, "its process has ended");
	if (fds[0].revents && !(fds[0].revents & POLLIN))
		return shared_end(s->with.shared, END_DESCRIPTOR_ENDED,
				  "poll of the userfaultfd says 0x%x",
				  (unsigned int)fds[0].revents);
	return END_NONE;
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

/* The bytes to install: *ret_data stays NULL where the kernel can make zeros. */
static enum end run_read(struct session *s, const struct run *run, const unsigned char **ret_data)
{
	int r;

	if (run->kind != RUN_DATA) {
		/* hugetlb has no ZEROPAGE */
		*ret_data = run->page_size > REGIONS_PAGE ? s->zeros : NULL;
		return END_NONE;
	}
	r = source_read(s->with.source, run->off, run->len, s->buffer);
	if (r < 0)
		return shared_end(s->with.shared, END_SOURCE_FAILED, "%s", fail_text(r));
	counter_add(&s->counters->bytes, run->len);
	*ret_data = s->buffer;
	return END_NONE;
}

static enum end run_install(struct session *s, const struct run *run, uint64_t *ret_va)
{
	const unsigned char *data = NULL;
	enum end end = run_read(s, run, &data);

	counter_add(&s->counters->runs, 1);
	return end ? end : install_run(&s->install, run, data, ret_va);
}

static enum end run_serve(struct session *s, const struct run *run)
{
	uint64_t va = run->va;
	enum end end = run_install(s, run, &va);
	uint64_t waited_us = (clock_monotonic_ns() - run->since_ns) / NS_PER_US;
	uint64_t done = (va - run->va) / run->page_size;
	uint64_t left = run->len / run->page_size - done;

	counter_add(&s->counters->latencies[counters_bucket(waited_us, COUNTERS_LATENCIES)], done);
	if (!end && left > 0) {
		batch_keep(&s->batch, run, va);
		counter_add(&s->counters->deferred_pages, left);
	}
	return end;
}

static void announce(const struct session *s)
{
	const struct batch *batch = &s->batch;
	size_t reads = 0;

	for (size_t i = 0; i < batch->nruns; i++)
		reads += batch->runs[i].kind == RUN_DATA;
	if (reads < 2)
		return; /* it is read at once */
	for (size_t i = 0; i < batch->nruns; i++)
		if (batch->runs[i].kind == RUN_DATA)
			source_announce(s->with.source, batch->runs[i].off, batch->runs[i].len);
}

/* Zeros first: they cost next to nothing, and the reads are under way. */
static enum end serve(struct session *s)
{
	const struct batch *batch = &s->batch;
	enum end end = END_NONE;

	if (batch_plan(&s->batch, &s->pages) < 0)
		return shared_end(s->with.shared, END_OUT_OF_MEMORY, "no memory for a batch");
	counter_add(&s->counters->duplicates, batch->duplicates);
	announce(s);
	for (size_t i = 0; i < batch->nruns && !end; i++)
		if (batch->runs[i].kind != RUN_DATA)
			end = run_serve(s, &batch->runs[i]);
	for (size_t i = 0; i < batch->nruns && !end; i++)
		if (batch->runs[i].kind == RUN_DATA)
			end = run_serve(s, &batch->runs[i]);
	if (!end && batch->outside > 0)
		return shared_end(s->with.shared, END_FAULT_OUTSIDE,
				  "a fault at address 0x%" PRIx64 ", which is in no region",
				  batch->outside_va);
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
	uint64_t va;
	struct run run;
	enum end end;

	if (!region)
		return release(s);
	va = MAX(s->fill_va, region->va);
	run = batch_run_at(&s->pages, region, va, BATCH_RUN_MOST);
	end = run_install(s, &run, &va);
	counter_add(&s->counters->fill_bytes, va - run.va);
	s->fill_va = va;
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

static enum end round_run(struct session *s)
{
	enum end end;

	counter_add(&s->counters->rounds, 1);
	s->install.progress = false;
	note(s, drain(s));
	end = serve(s);
	if (noted_is_due(s) || (s->noted && end))
		return s->noted;
	if (!end && s->with.fill && s->batch.nfaults == 0)
		end = fill(s);
	s->delay_ns = s->install.progress ? DELAY_LEAST_NS : MIN(2 * s->delay_ns, DELAY_MOST_NS);
	return end;
}

enum end session_run(struct session *s)
{
	enum end end = END_NONE;

	s->install.progress = true;
	while (!end) {
		end = wait_for_work(s);
		if (!end)
			end = round_run(s);
	}
	return end;
}
