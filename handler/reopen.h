/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the source again when its file system has gone: the keeper's side.
 *
 * A worker says that a generation of the file is lost. From then on the file is opened
 * again, with growing pauses, until that works; workers wait. It is done by a child of
 * the keeper's, since a path below the mount of a daemon that hangs can hold up whoever
 * follows it, for ever. A child that hangs is killed and, as it may not even die, not
 * waited for; of such there are a few at most.
 *
 *   AT_REST -> PAUSING -> OPENING -> AT_REST   the same image: RENEWED
 *                 ^----------|                 it failed
 *                            `--> AT_REST      another image: CHANGED
 *
 * One thread; nothing here waits.
 */
#ifndef PAGODA_HANDLER_REOPEN_H
#define PAGODA_HANDLER_REOPEN_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "handler/source.h"

#define REOPEN_CHILDREN_MOST 4

enum reopen_state {
	REOPEN_AT_REST,
	REOPEN_PAUSING,
	REOPEN_OPENING,
};

enum reopen_news {
	REOPEN_NONE,
	REOPEN_RENEWED, /* the source has a new generation */
	REOPEN_CHANGED, /* what is there now is another image; asked again, it is looked
			 * at again */
};

struct reopen {
	struct source *source; /* borrowed */
	enum reopen_state state;
	uint64_t due_ns;   /* PAUSING: of the next try; OPENING: of giving it up */
	uint64_t pause_ns; /* of the next pause */
	uint64_t lost_ns;  /* since when, for who asks; 0: it is there */
	uint64_t renewed_ns;
	int from_child; /* owned; -1 */
	pid_t child;
	pid_t stray[REOPEN_CHILDREN_MOST]; /* killed, not reaped yet; 0: none */
	bool told;			   /* that it is lost */
	bool needless;			   /* RENEWED: what there was had not gone */
};

void reopen_init(struct reopen *reopen, struct source *source);

/* Kills the child. */
void reopen_done(struct reopen *reopen);

/* A worker has lost that generation. */
void reopen_ask(struct reopen *reopen, uint32_t generation);

/* Nobody waits for it any more. */
void reopen_drop(struct reopen *reopen);

/* What to poll; fd -1 for nothing. And when it wants a turn in any case. */
struct pollfd reopen_watch(const struct reopen *reopen);
uint64_t reopen_deadline(const struct reopen *reopen);

/* Takes the next step. Logs, as the keeper does. */
enum reopen_news reopen_turn(struct reopen *reopen, short revents);

#endif
