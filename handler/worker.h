/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: the process that serves one machine.
 *
 * The keeper forks it with the descriptors of the machine. It closes every other
 * descriptor, gives up its rights, reads the rest of the hand-over, serves, writes
 * the end and the reason into the shared memory, says so on the channel and exits: 0
 * for an end that is good, 1 for any other. The exit may take as long as a read of the
 * source that hangs. The keeper holds the same userfaultfd, so that the exit is not the
 * last close, and sees to the machine.
 */
#ifndef PAGODA_HANDLER_WORKER_H
#define PAGODA_HANDLER_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "handler/shared.h"
#include "handler/source.h"

struct worker_setup {
	int conn;
	int uffd;
	int peer;
	int channel;
	const struct source *source;
	struct shared *shared;
	uint64_t deadline_ns; /* of the hand-over */
	uint64_t source_timeout_ns;
	uint64_t spin_ns;
	bool readahead;
	pid_t keeper;
	pid_t machine;
	bool fill;
	bool freeze; /* a machine that cannot be served is not killed */
};

/* Runs in the forked process. */
void worker_run(const struct worker_setup *setup) NORETURN;

#endif
