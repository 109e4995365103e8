/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One machine, as the keeper sees it: from the connection to the last close.
 *
 *   WAITING    connected, nothing sent yet          watches the connection
 *   SERVED     a worker has it                      watches the worker and its channel
 *   ENDING     over, its process may still run      watches the process
 *   LINGERING  gone, its worker may still run       watches the worker
 *   OVER       nothing is left to do
 *
 *   WAITING -> SERVED   first message: a userfaultfd and some text   (hand_over)
 *   WAITING -> OVER     it sent nothing, or no userfaultfd           (hand_over)
 *   WAITING -> ENDING   it sent one and cannot be served: killed or frozen, as
 *                       from here on its memory is in our hands      (hand_over)
 *   SERVED  -> ENDING   the worker says that it is over, or has ended; the machine is
 *                       killed or frozen where it cannot be served      (service_ended)
 *   SERVED  -> LINGERING  filled: it needs us no more                   (service_ended)
 *   ENDING  -> LINGERING  its process has ended: only now the userfaultfd is closed
 *   LINGERING -> OVER   the worker has ended too: one that hangs in a read of a stopped
 *                       file system takes as long as that
 *
 * A process whose last userfaultfd closes reads zeros where pages are missing,
 * and nothing tells it. Nothing here waits; one thread.
 */
#ifndef PAGODA_HANDLER_MACHINE_H
#define PAGODA_HANDLER_MACHINE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/fail.h"
#include "handler/end.h"
#include "handler/receive.h"
#include "handler/shared.h"
#include "handler/source.h"

enum machine_state {
	MACHINE_WAITING,
	MACHINE_SERVED,
	MACHINE_ENDING,
	MACHINE_LINGERING,
	MACHINE_OVER,
};

#define MACHINE_WATCHES 2

struct machine_policy {
	const struct source *source; /* borrowed */
	uint64_t source_timeout_ns;
	uint64_t spin_ns;
	bool readahead;
	bool freeze;
	bool fill;
	bool full; /* --once has its machine: another one cannot be served */
};

struct machine {
	struct machine *next; /* owned by the keeper's list */
	enum machine_state state;
	pid_t pid;
	uid_t uid;
	int conn; /* these five: owned, -1 when closed */
	int uffd;
	int peer;
	int worker_fd;
	int channel;			       /* to the worker */
	int spare_uffds[RECEIVE_FDS_MOST - 1]; /* owned: of a message that was refused */
	size_t nspare;
	bool received;	       /* its memory has been in our hands */
	bool unwelcome;	       /* its user is not in --allow-uid */
	pid_t worker;	       /* 0: none, or reaped */
	uint32_t generation;   /* of the source that its worker has */
	bool lost;	       /* ... and that answers no more, it says: it waits for another */
	unsigned int needless; /* how often, one after the other, that was not so */
	uint64_t heed_ns;      /* not to be believed before this; 0: at once */
	struct shared *shared; /* owned; NULL before there was something to receive */
	uint64_t image_size;
	uint64_t deadline_ns; /* of the first message */
	uint64_t retry_ns;    /* when to look at an empty connection again; 0: not empty */
	unsigned int tries;
	bool stopping;		    /* its end was asked for */
	enum end end;		    /* END_NONE while it goes on */
	bool told;		    /* the keeper has said so */
	char reason[FAIL_TEXT_MAX]; /* of the end */
	const char *deed;	    /* what was done to the process, in words; "" for nothing */
};

/* Takes ownership of conn on success. -ESRCH (it has gone), -ENOMEM, or the
 * -errno of getsockopt(2). */
int machine_new(int conn, struct machine **ret) MUST_CHECK;

/* Takes NULL. Closes what it holds, also under a worker that still serves. */
void machine_free(struct machine *machine);

/* What to poll for it; fd -1 for nothing. */
void machine_watch(const struct machine *machine, struct pollfd ret[MACHINE_WATCHES]);

/* When it wants a turn in any case, on the monotonic clock; UINT64_MAX: never. */
uint64_t machine_deadline(const struct machine *machine);

/* Takes the next step, if there is one; watched as machine_watch() has filled it. */
void machine_turn(struct machine *machine, const struct pollfd watched[MACHINE_WATCHES],
		  const struct machine_policy *policy);

/* For one that is lost: passes the source on as it was opened last. */
void machine_renew(struct machine *machine, const struct source *source);

/* Of one whose source was opened again: whether what it had was there still. If that goes
 * on, it is heeded less and less often, once a minute in the end. */
void machine_doubt(struct machine *machine, bool needless);

/* For one that is lost: there is another image now. */
void machine_disappoint(struct machine *machine);

/* One that is WAITING can say no more: takes the step for what it has sent, or it
 * is OVER. */
void machine_hang_up(struct machine *machine, const struct machine_policy *policy);

/* Ends it, as far as we may: its process is killed, if we have its memory still.
 * Who only connected, or has been filled, is left alone. */
void machine_stop(struct machine *machine, const struct machine_policy *policy);

#endif
