/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vmstate file: everything of a machine but its memory.
 *
 * "PAGODAVM", a version, the length of the file, struct state, and a checksum, in
 * the byte order of the host. A file that is not exactly so is refused.
 */
#ifndef PAGODA_TESTS_VMM_STATE_H
#define PAGODA_TESTS_VMM_STATE_H

#include <stdint.h>

#include "base/attributes.h"
#include "tests/vmm/disk.h"
#include "tests/vmm/vm.h"

struct state {
	uint64_t memory_size;
	uint64_t split;	  /* see memory.h */
	uint64_t balloon; /* pages it wants to hold */
	struct disk disk;
	struct vm_registers registers;
};

/* Writes in place and syncs. -errno of open(2), write(2), fsync(2), with words. */
int state_write(const char *path, const struct state *state) MUST_CHECK;

/* -EINVAL with the reason where the file is not a vmstate, or a damaged one; what
 * open(2) and read(2) say. */
int state_read(const char *path, struct state *ret) MUST_CHECK;

#endif
