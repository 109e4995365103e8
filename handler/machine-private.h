/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a machine share: machine.c has its states and its end,
 * machine-handover.c what comes before a worker serves it.
 */
#ifndef PAGODA_HANDLER_MACHINE_PRIVATE_H
#define PAGODA_HANDLER_MACHINE_PRIVATE_H

#include "handler/machine.h"

/* Takes -1; *fd is -1 then. */
void machine_fd_close(int *fd);

void machine_end_set(struct machine *machine, enum end end, const char *reason);

/* It cannot be served: it must not run on. If we may not even kill it, it waits
 * for ever in its next fault, as long as we hold its userfaultfd. */
void machine_disable(struct machine *machine, bool freeze);

/* The turn of one that is WAITING. */
void machine_waiting_turn(struct machine *machine, short revents,
			  const struct machine_policy *policy);

#endif
