/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advisory locks on single bytes of a file. They belong to the open file description:
 * they die with its last descriptor, and exclude nobody who uses the same one.
 */
#ifndef PAGODA_DB_BYTE_LOCK_H
#define PAGODA_DB_BYTE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

/* type is F_RDLCK, F_WRLCK or F_UNLCK. -EAGAIN where another holds it; any errno of
 * fcntl(2). */
int byte_lock(int fd, short type, uint64_t byte) MUST_CHECK;

/* Tries until the deadline (CLOCK_MONOTONIC), in steps that grow to 20 ms. */
int byte_lock_until(int fd, short type, uint64_t byte, uint64_t deadline_ns) MUST_CHECK;

/* Would a lock of that type be in another's way? */
bool byte_has_other(int fd, short type, uint64_t byte);

/* Has another a lock of it for writing? */
bool byte_is_locked(int fd, uint64_t byte);

#endif
