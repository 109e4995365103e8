/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supply: the bytes of the image as one session gets them, from a file system that
 * may be slow, stand still, or go and come back.
 *
 * The leader of the crew asks. It gets the bytes at once, or hears that they will
 * come later: because its file is lost and not opened again yet, because another
 * member is still reading just these bytes, or because all members are held up in
 * reads. What a member that was left behind has read in the end is not lost: the
 * leader finds it by supply_next_done().
 *
 *   file lost -> LOST to the keeper -> FILE from the keeper, the same image
 *                                   -> CHANGED: the session ends
 *
 * The file stays open for as long as somebody reads it. A page that has not come
 * within the timeout ends the session, and so does any error that is not the file
 * system's end. Time in which this process was stopped does not count.
 */
#ifndef PAGODA_HANDLER_SUPPLY_H
#define PAGODA_HANDLER_SUPPLY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "handler/batch.h"
#include "handler/crew.h"
#include "handler/end.h"
#include "handler/shared.h"
#include "handler/source.h"

struct supply;

/* All borrowed, for as long as the supply lives. */
struct supply_setup {
	const struct source *source;
	struct shared *shared;
	struct crew *crew;
	int channel;	     /* to the keeper; -1: nobody opens a lost file again */
	uint64_t timeout_ns; /* 0: for ever */
	size_t buffer_len;   /* the longest run */
};

enum supply_answer {
	SUPPLY_HERE,
	SUPPLY_LATER,  /* not now: ask again */
	SUPPLY_LEFT,   /* the lead has gone to another: touch nothing (crew.h) */
	SUPPLY_LESS,   /* not with what nobody asked for: ask for less */
	SUPPLY_FAILED, /* noted in shared: END_SOURCE_FAILED or END_OUT_OF_MEMORY */
};

/* A read that was left behind and has come to its end. */
struct reading {
	struct run run;
	bool fill;		   /* as given to supply_read */
	const unsigned char *data; /* run.len bytes; NULL: there are none */
};

/* -ENOMEM. */
int supply_new(const struct supply_setup *setup, struct supply **ret) MUST_CHECK;

/* When no member reads any more. Takes NULL. */
void supply_free(struct supply *supply);

/* Reads the run, as that member, which leads. A page that cannot be read is no reason
 * to end a machine that has not asked for it: LESS. HERE: *ret_data is valid until the
 * member reads again. fill is for who finds the reading later. */
enum supply_answer supply_read(struct supply *supply, size_t member, const struct run *run,
			       bool fill, const unsigned char **ret_data) MUST_CHECK;

/* Asks for the data runs of a batch to be read ahead. HERE or LEFT. */
enum supply_answer supply_announce(struct supply *supply, size_t member,
				   const struct batch *batch) MUST_CHECK;

/* The rest is the leader's. What to poll: news of the keeper, and of members. */
#define SUPPLY_WATCHES 2
void supply_watch(const struct supply *supply, struct pollfd ret[SUPPLY_WATCHES]);

/* Takes the news, and looks at the clock; waiting_ns is when the oldest page was asked
 * for that got LATER for an answer, 0 for none. END_NONE, or an end that is noted. */
enum end supply_turn(struct supply *supply, const struct pollfd watched[SUPPLY_WATCHES],
		     uint64_t waiting_ns);

/* Fills *ret with a reading that is done; false where there is none. Its data is valid
 * until supply_collect(), which comes before the next one. */
bool supply_next_done(struct supply *supply, struct reading *ret);

/* The reading has been used. END_NONE, or the end that its error brings. */
enum end supply_collect(struct supply *supply);

/* Whether something is held up, so that supply_turn() should come now and then. */
bool supply_is_held_up(const struct supply *supply);

#endif
