/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of the view: requests of the kernel in, replies out. None of
 * them waits for a writer of the store: see storing.h.
 */
#ifndef PAGODA_FUSEFS_OPS_H
#define PAGODA_FUSEFS_OPS_H

#include "fusefs/fuse.h"

/* For a session whose user data is a struct view. */
extern const struct fuse_lowlevel_ops ops_table;

#endif
