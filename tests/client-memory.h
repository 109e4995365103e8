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

#define SEND_MOST 253 /* descriptors of a message, as the kernel has it */

struct memory_setup {
	size_t size;	   /* bytes of the image */
	size_t regions;	   /* that many, of equal size but the last */
	bool huge;	   /* 2 MiB pages */
	bool blocking;	   /* a descriptor without O_NONBLOCK */
	bool silent;	   /* no removal is told, as from a machine without a balloon */
	bool user_only;	   /* only faults of the process itself, not of its kernel's */
	uint64_t features; /* of the userfaultfd, beside removals */
	uint64_t mode;	   /* of the registration, beside missing pages */
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

/* The regions as that release would write them. Owned by who asks. */
char *memory_text(const struct memory *memory, const char *generation);

/* A userfaultfd that is not set up. flags: O_NONBLOCK, UFFD_USER_MODE_ONLY or 0. */
int memory_uffd_new(int flags);

/* A connection to the handler's socket. */
int memory_connect(const char *path);

/* Sends bytes with descriptors, SEND_MOST at most. A peer that has hung up is no error
 * here: that is for the caller to see. */
void memory_send(int conn, const char *bytes, size_t len, const int *fds, size_t nfds);

/* Returns the connection, which the caller keeps or closes. */
int memory_hand_over(const struct memory *memory, const struct handover_setup *setup);

#endif
