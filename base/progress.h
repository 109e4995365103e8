/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a long job is, on standard error.
 *
 * A bar with rate and time left, drawn only on a terminal, only once the job has
 * taken a second, at most ten times a second. SIGUSR1 prints one line at the next
 * step, on a terminal or not. One job at a time in a process; progress_add may be
 * called by any thread. Functions take NULL and do nothing.
 */
#ifndef PAGODA_BASE_PROGRESS_H
#define PAGODA_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress;

/* what is borrowed and names the job: "import guest-a". quiet draws no bar, but
 * SIGUSR1 still answers. NULL when out of memory: a job runs on without. */
struct progress *progress_new(const char *what, bool quiet);

/* Bytes in all; 0 (the default) for not known, as of a pipe. */
void progress_set_total(struct progress *progress, uint64_t bytes);

void progress_add(struct progress *progress, uint64_t bytes);

/* Clears the bar; SIGUSR1 has its former meaning again. */
void progress_free(struct progress *progress);

#endif
