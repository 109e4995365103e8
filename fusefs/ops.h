/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of the view: requests of the kernel in, replies out.
 *
 * Errors of the store become errors of a file system here, and those that an
 * operator should know are logged here, each once.
 */
#ifndef PAGODA_FUSEFS_OPS_H
#define PAGODA_FUSEFS_OPS_H

#include "fusefs/fuse.h"

/* For a session whose user data is a struct view. */
extern const struct fuse_lowlevel_ops ops_table;

#endif
