/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crew: threads of a session, one of which leads.
 *
 * The leader runs the loop. What may take long (reading a file whose daemon may be
 * stopped) it does itself, between crew_enter() and crew_leave(), since handing it to
 * another thread would cost each fault two wake-ups. Should it take long, the watcher
 * gives the lead to a member at rest, which goes on with the loop. Who was left behind
 * learns so from crew_leave(): from then on it touches nothing of the loop's, puts its
 * result where the leader finds it, says crew_done() and returns.
 *
 *   RESTS --> LEADS <--> ENTERED --> BEHIND --> DONE --> RESTS
 *      (hired)   (enter, leave)  (took long) (done)  (collected)
 *
 * 1. At most one member is LEADS or ENTERED.
 * 2. The lead is only taken from who has ENTERED, by one compare-and-swap, which
 *    crew_leave() meets with its own: one of the two wins.
 * 3. Nobody enters unless somebody rests (crew_may_enter), so the loop always has a
 *    thread that runs it.
 *
 * Threads: crew_run() is the watcher and stays in the caller's. Of the others each
 * function says whose it is. A thread in a system call of a stopped daemon cannot be
 * ended: who exits the process with one leaves it to the kernel.
 */
#ifndef PAGODA_HANDLER_CREW_H
#define PAGODA_HANDLER_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define CREW_MOST 8
#define CREW_PATIENCE_NS UINT64_C(5000000) /* in something, before the lead goes */

enum crew_state {
	CREW_RESTS,
	CREW_LEADS,
	CREW_ENTERED,
	CREW_BEHIND,
	CREW_DONE,
};

struct crew;

/* Runs the loop as that member, until crew_end() or until it is left behind. */
typedef void crew_lead_fn(void *arg, size_t member);

/* With a leader and one at rest; arg is borrowed. -ENOMEM, or -errno of eventfd(2)
 * or pthread_create(3). */
int crew_new(crew_lead_fn *lead, void *arg, struct crew **ret) MUST_CHECK;

/* Waits for members that are in something. Takes NULL. */
void crew_free(struct crew *crew);

/* Lets member 0 lead, and watches until crew_end(). */
void crew_run(struct crew *crew);

/* The leader's: it leads no more and nobody follows. */
void crew_end(struct crew *crew);

/* The leader's: whether somebody could take over. */
bool crew_may_enter(const struct crew *crew);

/* The leader's, around what may take long. false: left behind. */
void crew_enter(struct crew *crew, size_t member);
bool crew_leave(struct crew *crew, size_t member) MUST_CHECK;

/* Of who was left behind: its result is there. */
void crew_done(struct crew *crew, size_t member);

/* The leader's: readable when a member is DONE. Cleared by crew_clear(), which
 * comes before looking at the states. */
int crew_fd(const struct crew *crew);
void crew_clear(struct crew *crew);

/* The leader's. Of the others it sees BEHIND turn into DONE at any time. */
enum crew_state crew_state(const struct crew *crew, size_t member);

/* The leader's: the result of a member that is DONE has been used. */
void crew_collect(struct crew *crew, size_t member);

#endif
