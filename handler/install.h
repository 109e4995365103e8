/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Installing a run of pages: ioctl after ioctl, until the kernel has said of each
 * page that it is installed, present, unmapped, or has to wait. One thread.
 */
#ifndef PAGODA_HANDLER_INSTALL_H
#define PAGODA_HANDLER_INSTALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "handler/batch.h"
#include "handler/end.h"
#include "handler/shared.h"

struct installer {
	int uffd;	       /* borrowed */
	struct shared *shared; /* borrowed */
	/*
	 * Until then a removal under way (EAGAIN) is tried again at once: whoever
	 * removes has just been let go on, and a thread that does nothing but remove
	 * leaves only moments between two. Nothing that is read meanwhile can change
	 * what the page is, since nothing is read.
	 */
	uint64_t patient_until_ns;
	bool progress; /* set when a page was installed, or needed nothing */
};

/* Installs the run from data (NULL for zeros), as far as it can now: *ret_va is
 * the first page that has to wait, or the end of the run. Of what nobody has asked for it
 * does what costs nothing: that ends at the first page that is present, unmapped or
 * has to wait, and *ret_short is set. What it returns, unless
 * END_NONE, is noted in shared (shared_end). */
enum end install_run(struct installer *in, const struct run *run, const unsigned char *data,
		     uint64_t *ret_va, bool *ret_short) MUST_CHECK;

#endif
