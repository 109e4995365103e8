/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and processors: a directory to work in, how large files are, taking them
 * out of the page cache, staying on one processor.
 *
 * One thread. 0 or -errno, with words.
 */
#ifndef PAGODA_BENCH_PLACE_H
#define PAGODA_BENCH_PLACE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define ANYWHERE (-1) /* no processor in particular */

/* Makes a directory of our own in parent; its path is in ret. */
int place_make(const char *parent, char ret[PATH_MAX]) MUST_CHECK;

/* Removes a file, or a directory and what is in it, on one file system. What is
 * not there is no error, and what stays is none either: it was ours alone. */
void place_remove(const char *path);

/* "dir/name" in ret; -ENAMETOOLONG. */
int place_path(char ret[PATH_MAX], const char *dir, const char *name) MUST_CHECK;

/* Bytes of all files below path, or of the file; ret_disk (or NULL) gets what they
 * take up on disk. */
int place_bytes(const char *path, uint64_t *ret_bytes, uint64_t *ret_disk) MUST_CHECK;

/* Takes the file, or all files below the directory, out of the page cache, and looks
 * that they are gone. -EBUSY where they stay, because somebody has them mapped. */
int place_evict(const char *path) MUST_CHECK;

/* Reads the file, so that it is in the page cache. */
int place_warm(const char *path) MUST_CHECK;

/* The calling process, and what it starts, runs on that processor only, or on any. */
int place_pin(int cpu) MUST_CHECK;

/* Kilobytes that the kernel reads ahead on the file system of path, 0 if not known. */
unsigned int place_read_ahead_kb(const char *path);

#endif
