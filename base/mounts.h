/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount table of this process, /proc/self/mountinfo: what is mounted where,
 * learnt without touching any mounted file system.
 */
#ifndef PAGODA_BASE_MOUNTS_H
#define PAGODA_BASE_MOUNTS_H

#include <limits.h>

#include "base/attributes.h"

struct mounts_entry {
	unsigned int major; /* device number of the file system */
	unsigned int minor;
	char point[PATH_MAX]; /* absolute */
	char type[64];	      /* "fuse.pagodafs" */
};

/* Reads one line of mountinfo; -EINVAL where it is not one. Pure. */
int mounts_parse(const char *line, struct mounts_entry *ret) MUST_CHECK;

/* What is mounted at the absolute path, the topmost of several; -ENOENT if
 * nothing is, -errno of reading the table. */
int mounts_find(const char *path, struct mounts_entry *ret) MUST_CHECK;

/* A place where the file system with this device number is mounted; -ENOENT if
 * there is none (left), -errno of reading the table. */
int mounts_find_device(unsigned int major, unsigned int minor, struct mounts_entry *ret) MUST_CHECK;

/* Another place where what entry names is mounted; -ENOENT if there is none, -errno of
 * reading the table. */
int mounts_find_other(const struct mounts_entry *entry, struct mounts_entry *ret) MUST_CHECK;

#endif
