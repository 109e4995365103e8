/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for the kernel's next request, and how.
 *
 * A request that finds all threads asleep costs two wake-ups: that of a thread here, and
 * that of who asked. Ours is saved where one still looks when the request comes. But the
 * kernel wakes one of those that sleep in a read of the device for each request, even if
 * another looks. So while requests come close together only one thread is at the device,
 * the leader, and the others rest:
 *
 *   far apart   nobody leads; all sleep in a read of the device, the kernel chooses
 *   close       the leader looks (base/spin.h), then sleeps in a read; what is quick it
 *               answers itself, and looks again
 *
 * 1. The leader gives the lead away before whatever may take long: what is asked for
 *    waits for something quick at the most.
 * 2. It gives it away, too, where more requests wait already.
 * 3. Who comes while the leader sleeps leads: the kernel wakes the other for nothing, but
 *    looking finds the next request sooner than who has to be woken.
 * 4. When they come far apart, and at the end of the session, all go to the device.
 *
 * Every thread that answers calls these, in this order: lead_wait, then it receives,
 * lead_received, then it answers, with lead_give in between or not.
 */
#ifndef PAGODA_FUSEFS_LEAD_H
#define PAGODA_FUSEFS_LEAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/spin.h"

struct lead {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Protected by lock: */
	bool close;		  /* requests come close together */
	const struct led *leader; /* NULL: nobody leads */
	bool sleeps;		  /* the leader does, or is about to */
	bool ended;
	unsigned int resting; /* threads that wait for the lead */
	uint64_t since_ns;    /* nobody leads: when the last began to wait */
	struct spin spin;     /* the leader's, where there is one */
};

/* One thread's part in it. */
struct led {
	bool leads;	   /* while it answers */
	bool looks;	   /* leads while it waits, but where it sleeps another may */
	bool overlaps;	   /* a request was there at once: they come from more than one */
	bool found;	   /* what it looked for */
	uint64_t since_ns; /* it began to look */
};

/* spin: as of spin_init */
void lead_init(struct lead *lead, uint64_t spin);
void lead_done(struct lead *lead);

/* Returns when the thread may receive a request from the device fd. */
void lead_wait(struct lead *lead, struct led *led, int fd);

/* It has received one. */
void lead_received(struct lead *lead, struct led *led, int fd);

/* What it does now may take long. */
void lead_give(struct lead *lead, struct led *led);

/* It receives no more, nor will the others. */
void lead_end(struct lead *lead);

#endif
