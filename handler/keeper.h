/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: one small process that accepts machines, starts a worker for each,
 * and sees every one of them to its end. It waits in poll(); nothing else it does
 * can be held up by a machine, and the lock on the socket's directory only for
 * moments (listener.h).
 */
#ifndef PAGODA_HANDLER_KEEPER_H
#define PAGODA_HANDLER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "handler/allow.h"
#include "handler/end.h"
#include "handler/listener.h"
#include "handler/source.h"

struct keeper_setup {
	const char *stats;   /* borrowed; NULL for none */
	const char *control; /* the same: path of the control socket */
	int ready_fd;	     /* gets a newline when machines may connect; -1 for none */
	struct allow allow;
	bool once;
	bool freeze;	    /* --on-failure=freeze */
	bool stop_by_drain; /* --on-stop=drain */
	bool fill;
	bool no_readahead;	    /* --readahead=off */
	uint64_t spin_ns;	    /* base/spin.h */
	uint64_t source_timeout_ns; /* how long a page may take; 0: for ever */
};

/* Serves until told to stop, or, where once is set, until one machine is over.
 * Takes ownership of listener: its socket goes as soon as nobody may connect any
 * more. source (borrowed) is opened again when its file system has gone. Blocks the
 * signals it handles for good. With once, *ret_end is the end of
 * that machine; else, or where none came, END_STOPPED. -errno of signalfd(2) or
 * poll(2), or of control_open(). */
int keeper_run(const struct keeper_setup *setup, struct listener *listener, struct source *source,
	       enum end *ret_end) MUST_CHECK;

#endif
