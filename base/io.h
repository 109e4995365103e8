/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that finish what they were asked for: short reads and writes and
 * EINTR are handled here and nowhere else. Lengths are bytes. Any thread.
 */
#ifndef PAGODA_BASE_IO_H
#define PAGODA_BASE_IO_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

/* Reads until len bytes or the end. Returns the bytes read, or the -errno of
 * read(2) or pread(2). */
ssize_t io_read_full(int fd, void *buf, size_t len) MUST_CHECK;
ssize_t io_pread_full(int fd, void *buf, size_t len, uint64_t off) MUST_CHECK;

/* Writes all of it. Returns 0, or the -errno of write(2) or pwrite(2): then an
 * unknown part was written. */
int io_write_full(int fd, const void *buf, size_t len) MUST_CHECK;
int io_pwrite_full(int fd, const void *buf, size_t len, uint64_t off) MUST_CHECK;

/* Makes the directory entries of path durable. -errno of open(2), fsync(2). */
int io_sync_dir(const char *path) MUST_CHECK;

/* The directory that path is in: "." for a bare name. -ENAMETOOLONG. */
int io_parent(const char *path, char dir[PATH_MAX]) MUST_CHECK;

/* Makes the entry of path itself durable: syncs the directory it is in. */
int io_sync_parent(const char *path) MUST_CHECK;

/* Gives the file fd the owner of path, where root makes files for another: else they
 * would be out of the owner's reach. Best effort. */
void io_own_like(int fd, const char *path);

/* Replaces the file path as a whole and durably: it has the old bytes or the
 * new ones, also after a power cut. It keeps its owner. Uses "<path>.tmp" in between; who calls
 * sees to it that two do not do so at once. -errno of open(2), write(2),
 * fsync(2) or rename(2): then the old file is untouched, or, where only the
 * last sync failed, the new one may not be durable. */
int io_replace_file(const char *path, const void *buf, size_t len, unsigned int mode) MUST_CHECK;

#endif
