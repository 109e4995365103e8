/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: what the inode numbers of a view stand for.
 *
 * A number is the snapshot's id and the kind of file, so it is known without a
 * table, never means anything else (ids are not used twice), and nothing has to
 * be remembered for the kernel or forgotten. The root is 1, which no snapshot
 * has: ids begin at 1, numbers of snapshots at 16.
 *
 * Each kind is one row of a table: name, mode, where its bytes come from, and
 * whether they may change.
 */
#ifndef PAGODA_FUSEFS_NODE_H
#define PAGODA_FUSEFS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/attributes.h"
#include "db/catalog.h"
#include "db/index.h"
#include "db/map.h"
#include "fusefs/settings.h"

#define NODE_ROOT 1

enum node_kind {
	NODE_DIR, /* the directory of a snapshot */
	NODE_MEM,
	NODE_DIFF,
	NODE_VMSTATE,
	NODE_INFO,
	NODE_MAPS,
	NODE_WORKINGSET,
	NODE_KINDS,
};

struct node_type {
	const char *name; /* in the directory of the snapshot */
	/* Read through this map; NODE_MEM and NODE_DIFF only. */
	bool is_mapped;
	enum map_view view;
	/* Fixed once the snapshot is sealed: the kernel keeps its pages and its
	 * attributes, and who has it open holds the lease. What is not fixed is
	 * read as a whole when it is opened. */
	bool is_fixed;
	bool is_replaceable; /* may be written, even when sealed */
	bool is_drafted;     /* may be written in a draft */
	/* NULL: every snapshot has it. */
	bool (*exists)(const struct snapshot_row *row);
	/* NULL: as long as what load gives. Bytes. */
	uint64_t (*size)(const struct snapshot_row *row);
	/* The bytes of what is not mapped; the caller frees *ret_data, never NULL. */
	int (*load)(struct index *index, const struct snapshot_row *row, void **ret_data,
		    size_t *ret_len);
};

/* The row of a kind of file; not for NODE_DIR. */
const struct node_type *node_type(enum node_kind kind);

/* The first kind after kind that the snapshot has; NODE_KINDS at the end. Start
 * with NODE_DIR. */
enum node_kind node_next(enum node_kind kind, const struct snapshot_row *row);

/* The kind of the file with that name; NODE_KINDS if the snapshot has none. */
enum node_kind node_find(const char *name, const struct snapshot_row *row);

/* The number of a node of snapshot id, and back. */
uint64_t node_number(uint64_t id, enum node_kind kind);
uint64_t node_id(uint64_t number);
/* NODE_KINDS for a number no node has. Not for NODE_ROOT. */
enum node_kind node_kind(uint64_t number);

/* stat(2) of a node of the snapshot in row. -errno of reading what has to be
 * read for its exact size. */
int node_stat(struct index *index, const struct settings *settings, const struct snapshot_row *row,
	      enum node_kind kind, struct stat *ret) MUST_CHECK;

/* stat(2) of the root; since_ns is when the view was mounted. */
void node_stat_root(const struct settings *settings, uint64_t since_ns, struct stat *ret);

/* Is it a file of a draft that may be written? */
bool node_is_draft(const struct snapshot_row *row, enum node_kind kind);

/* Does stat(2) of the node stay as it is? */
bool node_is_fixed(const struct snapshot_row *row, enum node_kind kind);

#endif
