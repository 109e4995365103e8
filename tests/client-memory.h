/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of the test machine: its regions, registered with a userfaultfd,
 * and their hand-over to a handler, as Firecracker does it (or wrongly, on demand).
 *
 * Every function ends the program with a message when the system refuses.
 */
#ifndef PAGODA_TESTS_CLIENT_MEMORY_H
#define PAGODA_TESTS_CLIENT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_setup {
	size_t size;	/* bytes of the image */
	size_t regions; /* that many, of equal size but the last */
	bool huge;	/* 2 MiB pages */
	bool blocking;	/* a descriptor without O_NONBLOCK */
};

struct memory {
	size_t unit; /* bytes of a page */
	size_t pages;
	size_t nregions;
	size_t region_pages;	/* of every region but the last */
	unsigned char **starts; /* owned: of the regions, in the order of the image */
	int uffd;
};

struct handover_setup {
	const char *socket;
	const char *generation;	   /* which release of Firecracker: 1.1, 1.7 or 1.12 */
	const char *send;	   /* the descriptors, in order: uffd,raw,file,pipe */
	const char *text;	   /* instead of the regions; or NULL */
	size_t pieces;		   /* bytes of one send, 0 for all at once */
	void (*after_first)(void); /* called between the first and the second; or NULL */
};

void memory_map(struct memory *memory, const struct memory_setup *setup);

/* Unmaps nothing: the handler must see the machine end with its memory. */
void memory_done(struct memory *memory);

/* The page, counted in the order of the image. */
unsigned char *memory_page(const struct memory *memory, size_t page);

/* How many pages follow in the same region, this one included. */
size_t memory_run(const struct memory *memory, size_t page);

/* Another page, registered with the same descriptor, in no region. */
unsigned char *memory_stray_page(const struct memory *memory);

/* Returns the connection, which the caller keeps or closes. */
int memory_hand_over(const struct memory *memory, const struct handover_setup *setup);

#endif
