/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --fill: what nobody has asked for, between the rounds, as long as no fault waits.
 *
 * A turn installs as much as one run may hold, in however many runs that lies. Zero pages
 * are left out: once the memory is unregistered a page that is missing reads as zero, which
 * is what it is to be. Not so huge pages, of which the system may have none left by then.
 */
#include "config.h"

#include "handler/session-private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

/* --fill has gone over it; what was removed meanwhile it has gone over before. */
void session_fill_reach(struct session *s, uint64_t start, uint64_t end)
{
	if (end <= start)
		return;
	counter_add(&s->counters->fill_bytes, end - start);
	s->fill_va = end;
	s->fill_ns = 0; /* what it waited for has come */
}

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

/* The next run to install, most bytes long at most; false: there is none left. */
static bool run_next(struct session *s, uint64_t most, struct run *ret)
{
	const struct region *region;

	while ((region = regions_from(s->pages.regions, s->fill_va))) {
		uint64_t va = MAX(s->fill_va, region->va);
		uint64_t zeros = region->page_size == REGIONS_PAGE
					 ? batch_zeros_at(&s->pages, region, va)
					 : 0;

		if (zeros == 0) {
			*ret = batch_run_at(&s->pages, region, va, most);
			return true;
		}
		session_fill_reach(s, va, va + zeros);
		s->install.progress = true;
	}
	return false;
}

enum end session_fill(struct session *s)
{
	uint64_t room = BATCH_RUN_MOST;
	enum end end = END_NONE;
	bool later = false;
	struct run run;

	while (!end && !later && room > 0) {
		uint64_t va;

		if (!run_next(s, room, &run))
			return release(s);
		va = run.va;
		end = session_install(s, &run, true, &va, &later);
		if (end == END_LEFT)
			return end;
		session_fill_reach(s, run.va, va);
		if (va < run.va + run.len)
			break; /* a removal is to be read first */
		if (uffd_has_messages(s->with.uffd))
			break; /* a fault, it may be */
		room -= MIN(room, run.len);
	}
	if (later && !s->fill_ns)
		counter_add(&s->counters->waiting_pages, run.len / run.page_size);
	s->fill_ns = !later ? 0 : s->fill_ns ? s->fill_ns : clock_monotonic_ns();
	s->waiting_ns = s->fill_ns; /* no fault waits, or it would not be our turn */
	return end;
}
