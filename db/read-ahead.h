/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a pack is read before anyone asks for it: a bound of our own.
 *
 * The kernel would read ahead as far as the disk's setting says, megabytes for each
 * reader, and what is still on its way cannot be reclaimed: a daemon with little memory
 * died of it. So a descriptor of a pack is told that reads are at random, and what comes
 * next is announced here. A struct read_ahead is of one thread, which follows one place
 * in one pack. Nothing fails: a stretch that is not announced is read when it is needed.
 */
#ifndef PAGODA_DB_READ_AHEAD_H
#define PAGODA_DB_READ_AHEAD_H

#include <stddef.h>
#include <stdint.h>

#define READ_AHEAD_BYTES (1U << 20) /* at most, beyond what is asked for */

struct read_ahead {
	uint64_t end;	 /* of the last read */
	uint64_t until;	 /* announced; at most end: nothing is */
	uint64_t window; /* to be announced beyond the end */
	uint32_t pack;	 /* 0: none yet */
};

/* A stretch of a pack. */
struct read_stretch {
	uint64_t off;
	uint64_t len; /* 0: nothing */
};

/* The kernel's own read-ahead is not for this descriptor. */
void read_ahead_own(int fd);

/* Before len bytes at off are read: what comes behind them and is to be announced now.
 * That is nothing until a read follows the one before. */
struct read_stretch read_ahead_next(struct read_ahead *ahead, uint32_t pack, uint64_t off,
				    size_t len);

/* Has the kernel read it, and does not wait for that. */
void read_ahead_announce(int fd, struct read_stretch stretch);

/* Announces what read_ahead_next says. */
void read_ahead_follow(struct read_ahead *ahead, int fd, uint32_t pack, uint64_t off, size_t len);

#endif
