/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/install.h"

#include <inttypes.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "handler/uffd.h"

static void count_installed(struct installer *in, const struct run *run, uint64_t bytes)
{
	uint64_t *const pages[] = {
		[RUN_DATA] = &in->shared->counters.data_pages,
		[RUN_ZERO] = &in->shared->counters.zero_pages,
		[RUN_REMOVED] = &in->shared->counters.removed_pages,
	};

	counter_add(pages[run->kind], bytes / REGIONS_PAGE);
	in->progress = true;
}

/* Lets whoever waits for a page that needs nothing from us try again. */
static enum end page_wake(struct installer *in, const struct run *run, uint64_t va,
			  uint64_t *counter)
{
	int r = uffd_wake(in->uffd, va, run->page_size);

	if (r < 0)
		return shared_end(in->shared, END_INSTALL_FAILED,
				  "wake at address 0x%" PRIx64 ": %s", va, strerror(-r));
	counter_add(counter, 1);
	in->progress = true;
	return END_NONE;
}

/* data is NULL for zeros. */
static struct uffd_outcome install_some(struct installer *in, uint64_t va,
					const unsigned char *data, uint64_t len)
{
	return data ? uffd_copy(in->uffd, va, data, len) : uffd_zero(in->uffd, va, len);
}

/* Leaves the part of the run that va is in and nobody has asked for. */
static bool unasked_leave(const struct run *run, uint64_t *va)
{
	if (*va >= run_asked_end(run))
		*va = run->va + run->len;
	else if (*va < run_asked(run))
		*va = run_asked(run);
	else
		return false;
	return true;
}

enum end install_run(struct installer *in, const struct run *run, const unsigned char *data,
		     uint64_t *ret_va, bool *ret_short)
{
	uint64_t end_va = run->va + run->len;
	uint64_t most = run->len; /* of one ioctl */
	enum end end = END_NONE;

	*ret_short = false;
	for (uint64_t va = run->va; va < end_va && !end; *ret_va = va) {
		uint64_t len = MIN(most, end_va - va);
		struct uffd_outcome o =
			install_some(in, va, data ? data + (va - run->va) : NULL, len);

		if ((o.result == UFFD_PRESENT || o.result == UFFD_UNMAPPED ||
		     o.result == UFFD_LATER) &&
		    unasked_leave(run, &va)) {
			*ret_short = true;
			continue;
		}
		switch (o.result) {
		case UFFD_INSTALLED:
			if (o.done < len)
				counter_add(&in->shared->counters.partial_copies, 1);
			count_installed(in, run, o.done);
			va += o.done;
			break;
		case UFFD_PRESENT:
			end = page_wake(in, run, va, &in->shared->counters.present_pages);
			va += run->page_size;
			break;
		case UFFD_UNMAPPED:
			/* one ioctl wants one mapping: go on page by page, and leave
			 * out what is really gone */
			if (len == run->page_size) {
				end = page_wake(in, run, va, &in->shared->counters.unmapped_pages);
				va += run->page_size;
			}
			most = run->page_size;
			break;
		case UFFD_LATER:
			if (clock_monotonic_ns() >= in->patient_until_ns) {
				*ret_va = va;
				return END_NONE;
			}
			sched_yield();
			break;
		case UFFD_GONE:
			return shared_end(in->shared, END_MACHINE_GONE, "its memory is gone");
		case UFFD_FAILED:
			return shared_end(in->shared, END_INSTALL_FAILED,
					  "install of %" PRIu64 " bytes at address 0x%" PRIx64
					  ": %s",
					  len, va, strerror(-o.err));
		}
	}
	return end;
}
