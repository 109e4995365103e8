/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going to the background only when there is something to show: the program the
 * user started ends when the view answers, or with the exit code of what failed.
 */
#ifndef PAGODA_FUSEFS_DAEMON_H
#define PAGODA_FUSEFS_DAEMON_H

#include "base/attributes.h"

/* Forks. Returns in the child, a session leader, with a descriptor for
 * daemon_ready; its standard error is still the user's. The parent does not
 * return: it exits with 0 once the child is ready, else with the child's code.
 * Before threads and before a store is open. -errno with words. */
int daemon_start(void) MUST_CHECK;

/* Says that the view answers and lets go of the terminal. Messages go to
 * syslog(3) from here on, or stay on standard error where that is a file. Closes
 * ready_fd. */
void daemon_ready(int ready_fd);

/* Closes every descriptor above standard error: a daemon outlives who started
 * it and must not keep his files. The three below are open afterwards. */
void daemon_own_descriptors(void);

#endif
