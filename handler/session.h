/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service of one machine, from the checked hand-over to a named end.
 *
 * Runs in a worker, in the threads of a crew, of which one at a time has the session
 * (handler/crew.h). It reads and installs, and neither kills nor closes anything:
 * whoever runs it holds the descriptors until the machine can do without them.
 */
#ifndef PAGODA_HANDLER_SESSION_H
#define PAGODA_HANDLER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "handler/end.h"
#include "handler/shared.h"
#include "handler/source.h"

struct session;

/* All borrowed, for as long as the session lives. */
struct session_setup {
	int uffd; /* prepared (uffd_prepare) */
	int peer; /* pidfd of the machine */
	const struct source *source;
	struct shared *shared;	    /* regions are checked */
	int channel;		    /* to the keeper (handler/channel.h); -1 for none */
	uint64_t source_timeout_ns; /* how long a page may take; 0: for ever */
	uint64_t spin_ns;	    /* base/spin.h */
	bool readahead;
	bool fill; /* install everything, then let go of the memory */
};

/* -ENOMEM, or -errno of eventfd(2), pthread_create(3). */
int session_new(const struct session_setup *setup, struct session **ret) MUST_CHECK;

/* Waits for reads that are still under way. Takes NULL. */
void session_free(struct session *session);

DEFINE_AUTO(struct session *, session_free)
#define AUTO_SESSION AUTO(session_free_at)

/* Serves until the end, which it returns; why is in shared->reason. Reads may still be
 * under way then, in other threads. */
enum end session_run(struct session *session);

#endif
