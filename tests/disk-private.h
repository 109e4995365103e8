/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: disk.c writes it, and disk-cut.c builds from it what a power cut leaves.
 *
 * Writers hold the mutex of disk.c. Paths are below the root, "" for the root itself. What
 * is more than a test should do, or cannot be noted for want of memory, aborts.
 */
#ifndef PAGODA_TESTS_DISK_PRIVATE_H
#define PAGODA_TESTS_DISK_PRIVATE_H

#include <limits.h>

#include "tests/disk.h"

#define DISK_PATH_MAX 96 /* below the root */
#define NO_NODE UINT_MAX

enum op_kind {
	OP_CREATE, /* a name for a file that is new */
	OP_MKDIR,
	OP_RENAME,
	OP_UNLINK, /* rmdir too */
	OP_WRITE,
	OP_TRUNCATE,
	OP_SYNC,
	OP_MARK,
};

/* A node is a file or a directory, by number; the root is 0. Names and syncs of a
 * directory belong to its node. */
struct op {
	enum op_kind kind;
	bool initial;	    /* was there at the start */
	unsigned int node;  /* whose sync makes it durable; of OP_MARK the mark */
	unsigned int child; /* OP_CREATE, OP_MKDIR: the node that gets the name */
	uint64_t off;	    /* OP_WRITE; OP_TRUNCATE: the size */
	size_t len;
	char *data; /* owned */
	char path[DISK_PATH_MAX];
	char to[DISK_PATH_MAX]; /* OP_RENAME */
};

struct disk_log {
	char *root; /* owned */
	size_t nops;
	size_t room;
	size_t first; /* behind what was there at the start */
	unsigned int nnodes;
	struct op *ops; /* owned */
};

extern struct disk_log disk_log;

/* Is it a file that a power cut leaves in no defined state, or none at all? */
bool disk_ignores(const char *path);

/* Forgets all, and begins below root. */
void disk_log_begin(const char *root);

/* The part of any path that is below the root, inside path; NULL where it is elsewhere or
 * of no interest. */
const char *disk_log_below(const char *path);

/* The node that has a name, and that of the directory the name is in; NO_NODE. */
unsigned int disk_log_node(const char *path);
unsigned int disk_log_parent(const char *path);

/* A name that the node has, for messages. */
const char *disk_log_path(unsigned int node);

/* One more entry; valid until the next. */
struct op *disk_log_note(enum op_kind kind, unsigned int node, const char *path);

/* Entries with what belongs to them: a copy of the bytes; a new node, which is returned; a
 * name that moves or goes. */
void disk_log_write(unsigned int node, uint64_t off, const void *data, size_t len);
unsigned int disk_log_new(enum op_kind kind, const char *path);
void disk_log_rename(const char *from, const char *to);
void disk_log_unlink(const char *path);

#endif
