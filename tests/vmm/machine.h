/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine: the guest, its memory and its devices.
 *
 * The machine stands still between two beats; snapshots are taken and the balloon
 * is set then. One thread. What can fail returns 0 or -errno with words; -ENOTSUP
 * says that KVM cannot be used here.
 */
#ifndef PAGODA_TESTS_VMM_MACHINE_H
#define PAGODA_TESTS_VMM_MACHINE_H

#include <stdint.h>

#include "base/attributes.h"
#include "tests/vmm/disk.h"
#include "tests/vmm/image.h"

struct machine;

struct machine_config {
	uint64_t memory_size;
	uint64_t split;	 /* see memory.h */
	uint64_t writes; /* pages that each beat writes */
	struct disk disk;
};

/* Where a machine is restored from. One of mem_file and uffd_socket is set. */
struct machine_source {
	const char *vmstate;
	const char *mem_file;	 /* mapped privately */
	const char *uffd_socket; /* of the handler that has the memory */
};

/* Serial output goes to serial_fd, which is borrowed. */
int machine_boot(struct machine **ret, const struct machine_config *config,
		 int serial_fd) MUST_CHECK;
int machine_restore(struct machine **ret, const struct machine_source *source,
		    int serial_fd) MUST_CHECK;
void machine_close(struct machine *machine);

/* Runs to the end of the next beat. */
int machine_run_beat(struct machine *machine) MUST_CHECK;

/* From the next beat on the balloon holds so many pages. -ERANGE if it may not. */
int machine_set_balloon(struct machine *machine, uint64_t pages) MUST_CHECK;

/* Both end a period of changes: the next diff is against this one. */
int machine_snapshot(struct machine *machine, const char *mem, const char *vmstate) MUST_CHECK;
int machine_diff(struct machine *machine, const char *mem, const char *vmstate) MUST_CHECK;

/* Compares memory with the image, see image_compare(). */
int machine_verify(struct machine *machine, const char *image, struct image_counts *ret) MUST_CHECK;

#endif
