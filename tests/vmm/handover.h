/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives the faults of guest memory to a handler, as Firecracker does (1.12 and
 * later): a userfaultfd with REMOVE events, registered for missing pages, goes
 * over a unix stream socket in one message with the list of regions. The socket
 * and the descriptor stay open until the machine ends. One thread.
 */
#ifndef PAGODA_TESTS_VMM_HANDOVER_H
#define PAGODA_TESTS_VMM_HANDOVER_H

#include "base/attributes.h"
#include "tests/vmm/memory.h"

struct handover {
	int uffd; /* owned, like the next; -1 for none */
	int sock;
};

/* Hands memory, fresh and anonymous, to who listens on the socket. From then on
 * each first touch of a page waits for its answer. 0, or -errno with words. */
int handover_start(struct handover *handover, const struct memory *memory,
		   const char *socket_path) MUST_CHECK;

void handover_done(struct handover *handover);

#endif
