/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's state, for its own files: keeper.c runs it, requests.c answers
 * questions about it.
 */
#ifndef PAGODA_HANDLER_KEEPER_PRIVATE_H
#define PAGODA_HANDLER_KEEPER_PRIVATE_H

#include <poll.h>

#include "handler/control.h"
#include "handler/keeper.h"
#include "handler/machine.h"
#include "handler/reopen.h"
#include "handler/stats.h"

#define MACHINES_MOST 1024  /* more wait in the socket's queue */
#define LINGERING_MOST 1024 /* beside them: workers of machines that have gone */
#define LATE_MOST 256	    /* more than that queue never holds: taken at the end */
#define LIST_MOST (MACHINES_MOST + LINGERING_MOST + LATE_MOST)

enum {
	WATCH_SIGNALS,
	WATCH_LISTENER,
	WATCH_REOPEN,
	WATCH_CONTROL,
	WATCH_MACHINES = WATCH_CONTROL + CONTROL_WATCHES,
	WATCH_MOST = WATCH_MACHINES + MACHINE_WATCHES * LIST_MOST,
};

struct keeper {
	const struct keeper_setup *setup;
	struct machine_policy policy;
	struct source *source; /* borrowed */
	struct reopen reopen;
	struct listener *listener; /* owned; NULL: nobody may connect any more */
	struct control *control;   /* owned; NULL: there is none */
	int signals;
	struct machine *machines;  /* owned, the oldest first */
	const struct machine *one; /* of --once, once it is there; only to compare */
	size_t nmachines;
	size_t nlingering; /* of these, at the end of the last turn */
	size_t fds_most;   /* for all of them */
	bool stopping;
	enum end outcome;
	uint64_t accept_ns; /* not to accept before this */
	uint64_t stats_ns;  /* when the next file is due; UINT64_MAX: not by the clock */
	int stats_error;    /* of the last time, told once */
	struct stats stats;
	struct pollfd watched[WATCH_MOST];
};

/* Nobody may connect any more. Machines are ended, or waited for where drain. */
void keeper_stop(struct keeper *keeper, bool drain);

/* Ends one machine. */
void keeper_stop_machine(struct keeper *keeper, struct machine *machine);

#endif
