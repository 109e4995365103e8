/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's state, for its own files. session.c waits, reads messages and runs the
 * round, and opens with its rules; session-serve.c serves what was asked for, session-fill.c what
 * was not. Whoever leads the crew has all of it.
 */
#ifndef PAGODA_HANDLER_SESSION_PRIVATE_H
#define PAGODA_HANDLER_SESSION_PRIVATE_H

#include "handler/ahead.h"
#include "handler/batch.h"
#include "handler/crew.h"
#include "handler/install.h"
#include "handler/session.h"
#include "base/spin.h"
#include "handler/supply.h"

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
	uint64_t waited_ns;   /* the same before this round */
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

/* Plans the faults that are known, and has their bytes read ahead. */
enum end session_plan(struct session *s);

/* Serves what is left of the plan, for whoever leads. */
enum end session_serve(struct session *s);

/* Installs what members who were left behind have read in the end. */
enum end session_serve_late(struct session *s);

/* Installs a run, its bytes read for --fill or for a fault. *ret_later: nothing was
 * installed, as the bytes are not there yet. The run loses what nobody has asked for
 * where that cannot be read. */
enum end session_install(struct session *s, struct run *run, bool filling, uint64_t *ret_va,
			 bool *ret_later);

/* Installs what comes next of the image, or lets the memory go where all is there. */
enum end session_fill(struct session *s);

/* --fill has come to [start, end) by another way. */
void session_fill_reach(struct session *s, uint64_t start, uint64_t end);

#endif
