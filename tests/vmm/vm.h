/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine of KVM: memory slots, one processor, its registers and exits.
 *
 * One thread, apart from what the kernel does. What can fail returns 0 or -errno
 * with words.
 */
#ifndef PAGODA_TESTS_VMM_VM_H
#define PAGODA_TESTS_VMM_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "tests/vmm/history.h"
#include "tests/vmm/memory.h"

struct vm {
	const struct memory *memory; /* borrowed */
	int kvm;		     /* owned, like the next two */
	int fd;
	int cpu;
	struct kvm_run *run; /* owned mapping */
	size_t run_size;
};

/* The guest of ours uses no more state than this. */
struct vm_registers {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

/* The guest has used a port. */
struct vm_port {
	unsigned int port;
	bool in;
	unsigned char *data; /* in the processor's page: an answer goes here */
	size_t len;
};

/* Makes a machine with that memory, whose writes are logged. -ENOTSUP where
 * /dev/kvm is missing or cannot do it. */
int vm_open(struct vm *vm, const struct memory *memory) MUST_CHECK;

/* Also what vm_open left half-built. */
void vm_close(struct vm *vm);

/* Registers with which the guest starts, in long mode at GUEST_CODE. */
int vm_boot(struct vm *vm) MUST_CHECK;

/* Lets the guest run to its next use of a port. Anything else that stops it is
 * -EIO; memory that cannot be had is -EFAULT. */
int vm_run(struct vm *vm, struct vm_port *ret_port) MUST_CHECK;

/* In between two runs. Getting them completes the last use of a port. */
int vm_get_registers(struct vm *vm, struct vm_registers *ret) MUST_CHECK;
int vm_set_registers(struct vm *vm, const struct vm_registers *registers) MUST_CHECK;

/* Adds what the guest has written since the last call. */
int vm_log_writes(struct vm *vm, struct history *history) MUST_CHECK;

#endif
