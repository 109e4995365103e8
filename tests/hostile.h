/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hostile and broken machines do, each as a play of its own.
 *
 * A play runs in a process that is forked for it and has fresh memory, mapped and
 * registered. It does its deed and returns; what must become of it then is its fate,
 * which hostile.c waits for and compares with what the handler has logged.
 */
#ifndef PAGODA_TESTS_HOSTILE_H
#define PAGODA_TESTS_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/client-memory.h"

enum fate {
	FATE_KILLED, /* by the handler, before it has read one wrong byte */
	FATE_CLOSED, /* its connection, and it lives: none of its memory was given away */
	FATE_SERVED, /* as if nothing were wrong, to the last byte */
	FATE_DIES,   /* by its own hand */
};

struct stage {
	const char *socket;
	pid_t handler;
	const unsigned char *image;
	size_t size;
	struct memory memory;
	int conn; /* left by the play, for FATE_CLOSED */
};

struct play {
	const char *name;
	enum fate fate;
	const char *log; /* a part of what the handler says of it; NULL: nothing */
	void (*act)(struct stage *stage);
	struct memory_setup setup; /* size and regions are filled in */
	const char *text;	   /* for hand_over_text: %zu is the size of the image */
};

/* How a row of a table of plays begins. */
#define PLAY(name_, fate_, log_, act_) .name = name_, .fate = fate_, .log = log_, .act = act_

/* Ended by one without a name. */
extern const struct play hostile_socket_plays[];
extern const struct play hostile_memory_plays[];

/* The play that runs in this process. */
extern const struct play *hostile_play;

/* An ordinary hand-over; the connection is left in the stage. */
void hostile_hand_over(struct stage *stage);

/* Compares pages with the image. A wrong byte ends the process. */
void hostile_compare(const struct stage *stage, size_t first, size_t count);

#endif
