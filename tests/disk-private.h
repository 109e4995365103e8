/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of disk.c, from which disk-cut.c builds what a power cut leaves.
 */
#ifndef PAGODA_TESTS_DISK_PRIVATE_H
#define PAGODA_TESTS_DISK_PRIVATE_H

#include "tests/disk.h"

#define DISK_PATH_MAX 96 /* below the root */

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

#endif
