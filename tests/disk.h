/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that can lose its power, and one that fails.
 *
 * A program that links disk.c has every change of a tree of files recorded, in
 * order: what SQLite does and what the packs, `generation` and the directories go
 * through. It stands at the system calls, below SQLite's own VFS and beside the
 * packs, so that one log holds both in the order in which they happened, and
 * nothing that SQLite does on the side (the sync of a directory) goes by unseen:
 * the program's own open(), pwrite64() and so on come before those of libc for
 * the libraries too.
 *
 * From the log the disk is built as a power cut leaves it: what was synced is
 * there; of what was not, any part, torn at sectors of 512 bytes; a name is there
 * for certain only once its directory was synced. What shared memory held
 * (index.db-shm) and the files in holders/ are no part of it.
 *
 * Nothing is really synced: the tree can be anywhere. Calls in any thread;
 * the functions here in one.
 */
#ifndef PAGODA_TESTS_DISK_H
#define PAGODA_TESTS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts recording what happens below root, a directory (absolute, no symlink in
 * it). What is there is durable. */
void disk_start(const char *root);

/* Writes a number into the log: what came before it has been acknowledged. */
void disk_mark(unsigned int mark);

/* Ends recording. The log stays until the next start. */
void disk_stop(void);

/* How many points there are to cut the power at: 0 is the start. */
size_t disk_points(void);

/* The last mark before that point; 0 before the first. */
unsigned int disk_mark_at(size_t point);

/* What the last change before that point was, for messages; valid until the next call. */
const char *disk_describe(size_t point);

enum disk_fate {
	DISK_LOSES_ALL, /* that was not synced */
	DISK_KEEPS_ALL,
	DISK_TEARS,    /* each sector by itself; names up to some moment */
	DISK_REORDERS, /* each change by itself */
	DISK_FATES,
};

/* Builds in dir, which is emptied first, what a power cut at that point leaves. */
void disk_cut(size_t point, enum disk_fate fate, uint64_t seed, const char *dir);

/* Does the log say what really lies below the root? If not, something writes by a
 * way that is not recorded. Words into why. */
bool disk_is_complete(char *why, size_t room);

/* The nth change from now on (1 is the next) fails with that error, and if lasting
 * all behind it too. A write that fails has written the first half. With reads,
 * opens and reads count as well. nth 0: nothing fails. */
struct disk_failure {
	unsigned int nth;
	int error;
	bool lasting;
	bool reads;
};
void disk_fail(const struct disk_failure *failure);

/* Has it come to that failure? Then what failed, for messages; else NULL. */
const char *disk_has_failed(void);

/* How many calls that could have failed there were since disk_fail. */
unsigned int disk_calls(void);

#endif
