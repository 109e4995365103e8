/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest: where it lies in memory, and how it talks to its machine.
 *
 * Shared by guest-code.S, which runs inside, and guest.c, which puts it there.
 * The guest runs in long mode and its page tables map memory in the order of the
 * image: an address of the guest is an offset in the memory file, whatever holes
 * the physical layout has. No interrupts, no floating point, no clock: its
 * registers and its memory are all of it.
 *
 * It reads its memory from the disk once, then in every beat: gives pages back or
 * takes them again as the balloon asks, writes its beat into a few pages, walks
 * over all memory, and prints
 *
 *     BEAT 7 sum 0123456789abcdef str "hello from the guest"
 *
 * The sum covers two words of each page below the spare ones, and none that a
 * beat writes, so it is the same in every beat. The text is read from GUEST_TEXT.
 */
#ifndef PAGODA_TESTS_VMM_GUEST_H
#define PAGODA_TESTS_VMM_GUEST_H

/* page 0 is never used */
#define GUEST_PARAMS 0x1000 /* struct guest_params */
#define GUEST_TEXT 0x2000   /* ends with a zero byte */
#define GUEST_CODE 0x3000
#define GUEST_CODE_MAX 0x1000
#define GUEST_STACK 0x5000  /* grows down to 0x4000 */
#define GUEST_TABLES 0x5000 /* one PML4, one PDPT, a directory for each GiB */

#define GUEST_TEXT_MAX 80 /* bytes of the text that are printed */

/* struct guest_params, for the assembler */
#define PARAM_PAGES 0
#define PARAM_FIRST 8
#define PARAM_SPARE 16
#define PARAM_GIVEN 24
#define PARAM_WRITES 32
#define PARAM_CURSOR 40
#define PARAM_BEAT 48
#define PARAM_SUM 56

/* Ports, all of 32 bits but the serial one. Out, unless it says in. */
#define PORT_SERIAL 0x3f8
#define PORT_BEAT 0x500	      /* a beat is over; its number */
#define PORT_DISK 0x504	      /* read block N of the disk into page N */
#define PORT_BALLOON 0x508    /* in: pages the balloon wants to hold */
#define PORT_GIVE_FIRST 0x50c /* the page ... */
#define PORT_GIVE_COUNT 0x510 /* ... from which on so many are given back */
#define PORT_GIVE_WAIT 0x514  /* in: returns when all that was given is gone */
#define PORT_NOT_ZERO 0x518   /* a page that was given back is not zero */

#define GUEST_GIVE_RUN 8 /* pages given back at once */

#ifndef __ASSEMBLER__

#include <stdint.h>

#include "base/attributes.h"
#include "tests/vmm/memory.h"

struct guest_params {
	uint64_t pages;	 /* of all memory */
	uint64_t first;	 /* page the guest fills */
	uint64_t spare;	 /* first page that the balloon may have; the last is the last of all */
	uint64_t given;	 /* pages that the balloon has, from spare on */
	uint64_t writes; /* pages written in a beat */
	uint64_t cursor; /* the next page to write */
	uint64_t beat;
	uint64_t sum;
};

/* Pages that the balloon may have of a machine with so many bytes of memory. */
uint64_t guest_spare_pages(uint64_t memory_size);

/* Puts the guest into fresh memory: code, text, parameters, page tables. writes
 * is how many pages each beat writes. */
void guest_load(const struct memory *memory, uint64_t writes);

#endif
#endif
