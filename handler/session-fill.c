/* SPDX-License-Identifier: Apache-2.0 */
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

/* Installs the next run of the image; faults come first, so only while none wait. */
enum end session_fill(struct session *s)
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
	end = session_install(s, &run, true, &va, &later);
	if (end == END_LEFT)
		return end;
	session_fill_reach(s, run.va, va);
	s->fill_ns = !later ? 0 : s->fill_ns ? s->fill_ns : clock_monotonic_ns();
	s->waiting_ns = s->fill_ns; /* no fault waits, or it would not be our turn */
	return end;
}
