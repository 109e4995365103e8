/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that commits the steps of a layer while the next one is collected: their
 * disk and their part of the index are what an import would wait for. Private to db/.
 *
 * One step at a time. From committer_start to committer_wait the step, the struct
 * steps and its index belong to the thread, and the pack it names must not be synced,
 * truncated or closed.
 */
#ifndef PAGODA_DB_COMMITTER_H
#define PAGODA_DB_COMMITTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "db/step.h"

struct committer;

/* steps is borrowed. */
int committer_new(struct steps *steps, struct committer **ret) MUST_CHECK;

/* Waits for the step that is under way. */
void committer_free(struct committer *committer);

/* Has a step been started that nobody has waited for? */
bool committer_has_step(const struct committer *committer);

/* Would committer_wait wait? Not where there is no step. */
bool committer_is_busy(struct committer *committer);

/* step is borrowed until it has been waited for. */
void committer_start(struct committer *committer, struct step *step);

/* Waits for the step that was started: what step_commit made of it. */
int committer_wait(struct committer *committer, size_t *ret_missing) MUST_CHECK;

#endif
