/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "tests/vmm/balloon.h"
#include "tests/vmm/guest.h"
#include "tests/vmm/handover.h"
#include "tests/vmm/history.h"
#include "tests/vmm/memory.h"
#include "tests/vmm/serial.h"
#include "tests/vmm/state.h"
#include "tests/vmm/vm.h"

struct machine {
	struct memory memory;
	struct handover handover;
	struct vm vm;
	struct history history;
	struct balloon *balloon; /* owned */
	uint64_t balloon_pages;	 /* that it wants to hold */
	uint64_t give_first;	 /* PORT_GIVE_FIRST */
	struct disk disk;
	struct serial serial;
	bool beat_over;
};

DEFINE_AUTO(struct machine *, machine_close)

/* Everything but what is in memory and in the registers. */
static int machine_open(struct machine **ret, const struct machine_config *config,
			const char *mem_file, int serial_fd)
{
	AUTO(machine_close_at) struct machine *machine = calloc(1, sizeof(*machine));
	int r;

	if (!machine)
		return -ENOMEM;
	machine->handover = (struct handover){.uffd = -1, .sock = -1};
	machine->vm = (struct vm){.kvm = -1, .fd = -1, .cpu = -1};
	machine->disk = config->disk;
	serial_init(&machine->serial, serial_fd);
	r = memory_init(&machine->memory, config->memory_size, config->split, mem_file);
	if (r < 0)
		return r;
	r = vm_open(&machine->vm, &machine->memory);
	if (r < 0)
		return r;
	r = history_init(&machine->history, config->memory_size / MEMORY_PAGE);
	if (r < 0)
		return r;
	machine->balloon = balloon_new(&machine->memory);
	if (!machine->balloon)
		return -ENOMEM;
	*ret = TAKE_PTR(machine);
	return 0;
}

int machine_boot(struct machine **ret, const struct machine_config *config, int serial_fd)
{
	AUTO(machine_close_at) struct machine *machine = NULL;
	int r = machine_open(&machine, config, NULL, serial_fd);

	if (r < 0)
		return r;
	guest_load(&machine->memory, config->writes);
	r = vm_boot(&machine->vm);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(machine);
	return 0;
}

int machine_restore(struct machine **ret, const struct machine_source *source, int serial_fd)
{
	AUTO(machine_close_at) struct machine *machine = NULL;
	struct machine_config config;
	struct state state;
	int r = state_read(source->vmstate, &state);

	if (r < 0)
		return r;
	config = (struct machine_config){
		.memory_size = state.memory_size, .split = state.split, .disk = state.disk};
	r = machine_open(&machine, &config, source->mem_file, serial_fd);
	if (r < 0)
		return r;
	r = machine_set_balloon(machine, state.balloon);
	if (r < 0)
		return r;
	if (source->uffd_socket)
		r = handover_start(&machine->handover, &machine->memory, source->uffd_socket);
	if (r < 0)
		return r;
	r = vm_set_registers(&machine->vm, &state.registers);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(machine);
	return 0;
}

void machine_close(struct machine *machine)
{
	if (!machine)
		return;
	balloon_free(machine->balloon);
	history_done(&machine->history);
	vm_close(&machine->vm);
	memory_done(&machine->memory);
	handover_done(&machine->handover);
	free(machine);
}

static bool has_pages(const struct machine *machine, uint64_t pgno, uint64_t count)
{
	return pgno < machine->history.pages && count <= machine->history.pages - pgno;
}

static int misused(const struct vm_port *port, uint32_t value)
{
	return fail_with(-EIO, "the guest used port 0x%x with %" PRIu32, port->port, value);
}

static void read_disk(struct machine *machine, uint64_t pgno)
{
	unsigned char *page = memory_page(&machine->memory, pgno);

	if (!disk_read(&machine->disk, pgno, page)) {
		if (memory_is_zero(page))
			return; /* so that memory never touched stays so */
		memset(page, 0, MEMORY_PAGE);
	}
	history_write(&machine->history, pgno);
}

/* KVM's log has nothing of these pages: our guest never writes spare ones itself. */
static void give_pages(struct machine *machine, uint64_t count)
{
	history_remove(&machine->history, machine->give_first, count);
	balloon_give(machine->balloon, machine->give_first, count);
}

static int port_out(struct machine *machine, const struct vm_port *port, uint32_t value)
{
	switch (port->port) {
	case PORT_BEAT:
		machine->beat_over = true;
		return 0;
	case PORT_DISK:
		if (!has_pages(machine, value, 1))
			return misused(port, value);
		read_disk(machine, value);
		return 0;
	case PORT_GIVE_FIRST:
		machine->give_first = value;
		return 0;
	case PORT_GIVE_COUNT:
		if (!has_pages(machine, machine->give_first, value))
			return misused(port, value);
		give_pages(machine, value);
		return 0;
	case PORT_NOT_ZERO:
		return fail_with(-EBADMSG,
				 "the guest gave page %" PRIu32 " back and it is not zero", value);
	default:
		return misused(port, value);
	}
}

static int port_in(struct machine *machine, const struct vm_port *port, uint32_t *ret_value)
{
	switch (port->port) {
	case PORT_BALLOON:
		*ret_value = (uint32_t)machine->balloon_pages;
		return 0;
	case PORT_GIVE_WAIT:
		*ret_value = 0;
		return balloon_wait(machine->balloon);
	default:
		return misused(port, 0);
	}
}

static int handle_port(struct machine *machine, const struct vm_port *port)
{
	uint32_t value = 0;
	int r;

	if (port->port == PORT_SERIAL && !port->in)
		return serial_put(&machine->serial, port->data, port->len);
	if (port->len != sizeof(value))
		return misused(port, 0);
	if (port->in) {
		r = port_in(machine, port, &value);
		memcpy(port->data, &value, sizeof(value));
		return r;
	}
	memcpy(&value, port->data, sizeof(value));
	return port_out(machine, port, value);
}

int machine_run_beat(struct machine *machine)
{
	machine->beat_over = false;
	while (!machine->beat_over) {
		struct vm_port port;
		int r = vm_run(&machine->vm, &port);

		if (r == 0)
			r = handle_port(machine, &port);
		if (r < 0)
			return r;
	}
	return vm_log_writes(&machine->vm, &machine->history);
}

int machine_set_balloon(struct machine *machine, uint64_t pages)
{
	uint64_t most = guest_spare_pages(machine->memory.size);

	if (pages > most)
		return fail_with(-ERANGE,
				 "the balloon cannot have %" PRIu64 " pages, %" PRIu64 " at most",
				 pages, most);
	machine->balloon_pages = pages;
	return 0;
}

static int write_state(struct machine *machine, const char *vmstate)
{
	struct state state = {
		.memory_size = machine->memory.size,
		.split = machine->memory.split,
		.balloon = machine->balloon_pages,
		.disk = machine->disk,
	};
	int r = vm_get_registers(&machine->vm, &state.registers);

	return r < 0 ? r : state_write(vmstate, &state);
}

int machine_snapshot(struct machine *machine, const char *mem, const char *vmstate)
{
	int r = image_write_full(mem, &machine->memory);

	if (r < 0)
		return r;
	history_settle(&machine->history);
	return write_state(machine, vmstate);
}

int machine_diff(struct machine *machine, const char *mem, const char *vmstate)
{
	int r = image_write_diff(mem, &machine->memory, &machine->history);

	if (r < 0)
		return r;
	history_settle(&machine->history);
	return write_state(machine, vmstate);
}

int machine_verify(struct machine *machine, const char *image, struct image_counts *ret)
{
	return image_compare(image, &machine->memory, &machine->history, ret);
}
