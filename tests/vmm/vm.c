/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "tests/vmm/guest.h"

/* Three pages that KVM on Intel wants for itself, in the hole below 4 GiB. */
#define TSS_ADDRESS 0xfffbd000UL

#define CR0_PAGED 0x80000011 /* PG, ET, PE */
#define CR4_PAE 0x20
#define EFER_LONG 0x500	 /* LME, LMA */
#define RFLAGS_NONE 0x2	 /* a bit that is always set */
#define SEGMENT_CODE 0xb /* execute, read, accessed */
#define SEGMENT_DATA 0x3 /* read, write, accessed */

static int kvm_failed(const char *what)
{
	return fail_with(-ENOTSUP, "cannot use /dev/kvm: %s: %s", what, strerror(errno));
}

static int open_kvm(struct vm *vm)
{
	int size;

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		return kvm_failed("open");
	if (ioctl(vm->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION ||
	    ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return fail_with(-ENOTSUP, "cannot use /dev/kvm: it is too old");
	size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		return kvm_failed("KVM_GET_VCPU_MMAP_SIZE");
	vm->run_size = (size_t)size;
	return 0;
}

static int add_slots(struct vm *vm)
{
	for (size_t i = 0; i < vm->memory->nregions; i++) {
		const struct memory_region *region = &vm->memory->regions[i];
		struct kvm_userspace_memory_region slot = {
			.slot = (uint32_t)i,
			.flags = KVM_MEM_LOG_DIRTY_PAGES,
			.guest_phys_addr = region->gpa,
			.memory_size = region->size,
			.userspace_addr = (uintptr_t)region->base,
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return kvm_failed("KVM_SET_USER_MEMORY_REGION");
	}
	return 0;
}

static int add_cpu(struct vm *vm)
{
	void *run;

	vm->cpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	if (vm->cpu < 0)
		return kvm_failed("KVM_CREATE_VCPU");
	run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->cpu, 0);
	if (run == MAP_FAILED)
		return kvm_failed("mmap");
	vm->run = run;
	return 0;
}

static int open_machine(struct vm *vm)
{
	int r = open_kvm(vm);

	if (r < 0)
		return r;
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return kvm_failed("KVM_CREATE_VM");
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS) < 0)
		return kvm_failed("KVM_SET_TSS_ADDR");
	r = add_slots(vm);
	return r < 0 ? r : add_cpu(vm);
}

int vm_open(struct vm *vm, const struct memory *memory)
{
	int r;

	*vm = (struct vm){.memory = memory, .kvm = -1, .fd = -1, .cpu = -1};
	r = open_machine(vm);
	if (r < 0)
		vm_close(vm);
	return r;
}

void vm_close(struct vm *vm)
{
	if (vm->run)
		munmap(vm->run, vm->run_size);
	if (vm->cpu >= 0)
		close(vm->cpu);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm >= 0)
		close(vm->kvm);
	*vm = (struct vm){.kvm = -1, .fd = -1, .cpu = -1};
}

/* Whole address space, without a descriptor table: the guest never loads one. */
static void set_segments(struct kvm_sregs *sregs)
{
	struct kvm_segment code = {
		.limit = UINT32_MAX,
		.selector = 8,
		.type = SEGMENT_CODE,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	struct kvm_segment data = code;

	data.selector = 16;
	data.type = SEGMENT_DATA;
	data.l = 0;
	data.db = 1;
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
}

int vm_boot(struct vm *vm)
{
	struct vm_registers registers;
	int r = vm_get_registers(vm, &registers);

	if (r < 0)
		return r;
	registers.regs =
		(struct kvm_regs){.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = RFLAGS_NONE};
	registers.sregs.cr3 = GUEST_TABLES;
	registers.sregs.cr4 = CR4_PAE;
	registers.sregs.cr0 = CR0_PAGED;
	registers.sregs.efer = EFER_LONG;
	set_segments(&registers.sregs);
	return vm_set_registers(vm, &registers);
}

static int stopped(const struct kvm_run *run)
{
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		return fail_with(-EIO, "the guest cannot go on: KVM internal error %u",
				 run->internal.suberror);
	return fail_with(-EIO, "the guest cannot go on: KVM exit %u", run->exit_reason);
}

int vm_run(struct vm *vm, struct vm_port *ret_port)
{
	struct kvm_run *run = vm->run;

	while (ioctl(vm->cpu, KVM_RUN, 0) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return fail_with(-errno, "the guest cannot go on: %s", strerror(errno));
	}
	if (run->exit_reason != KVM_EXIT_IO)
		return stopped(run);
	*ret_port = (struct vm_port){
		.port = run->io.port,
		.in = run->io.direction == KVM_EXIT_IO_IN,
		.data = (unsigned char *)run + run->io.data_offset,
		.len = (size_t)run->io.size * run->io.count,
	};
	return 0;
}

/* After a use of a port the instruction is complete only once KVM was entered
 * again (Documentation/virt/kvm/api.rst, KVM_RUN). */
static int complete_port(struct vm *vm)
{
	int r;

	vm->run->immediate_exit = 1;
	r = ioctl(vm->cpu, KVM_RUN, 0);
	vm->run->immediate_exit = 0;
	if (r < 0 && errno != EINTR)
		return fail_with(-errno, "cannot stop the guest: %s", strerror(errno));
	return 0;
}

int vm_get_registers(struct vm *vm, struct vm_registers *ret)
{
	int r = complete_port(vm);

	if (r < 0)
		return r;
	if (ioctl(vm->cpu, KVM_GET_REGS, &ret->regs) < 0 ||
	    ioctl(vm->cpu, KVM_GET_SREGS, &ret->sregs) < 0)
		return fail_with(-errno, "cannot get the registers: %s", strerror(errno));
	return 0;
}

int vm_set_registers(struct vm *vm, const struct vm_registers *registers)
{
	/* KVM wants them writable, and does not write */
	struct vm_registers copy = *registers;

	if (ioctl(vm->cpu, KVM_SET_SREGS, &copy.sregs) < 0 ||
	    ioctl(vm->cpu, KVM_SET_REGS, &copy.regs) < 0)
		return fail_with(-errno, "cannot set the registers: %s", strerror(errno));
	return 0;
}

int vm_log_writes(struct vm *vm, struct history *history)
{
	for (size_t i = 0; i < vm->memory->nregions; i++) {
		const struct memory_region *region = &vm->memory->regions[i];
		uint64_t first = region->off / MEMORY_PAGE;
		size_t words = (region->size / MEMORY_PAGE + 63) / 64;
		AUTO_FREE uint64_t *bits = calloc(words, sizeof(*bits));
		struct kvm_dirty_log log = {.slot = (uint32_t)i, .dirty_bitmap = bits};

		if (!bits)
			return -ENOMEM;
		if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) < 0)
			return fail_with(-errno, "cannot get the log of writes: %s",
					 strerror(errno));
		for (size_t w = 0; w < words; w++)
			history_add_log(history, first + w * 64, bits[w]);
	}
	return 0;
}
