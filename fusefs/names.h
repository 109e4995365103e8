/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and attributes: what is where, and how long the kernel may believe it.
 *
 * Functions belong to the thread of the index; 0 or -errno with words.
 */
#ifndef PAGODA_FUSEFS_NAMES_H
#define PAGODA_FUSEFS_NAMES_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/attributes.h"
#include "db/index.h"
#include "fusefs/fuse.h"
#include "fusefs/view.h"

/* The entry name of directory parent, a node number. -ENOENT, -ENAMETOOLONG. */
int names_find(struct view *view, struct index *index, uint64_t parent, const char *name,
	       struct fuse_entry_param *ret) MUST_CHECK;

/* stat(2) of a node by number, and for how many seconds it holds. -ESTALE if the
 * snapshot is gone. */
int names_stat(struct view *view, struct index *index, uint64_t number, struct stat *ret,
	       double *ret_timeout) MUST_CHECK;

#endif
