/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks: which page ids the extents of all snapshots name.
 *
 * Private to db/, for collecting garbage. A window of MARKS_IDS ids is marked at a
 * time, so memory does not grow with the store: 8 MiB, and 32 bytes an import that is
 * under way or a draft.
 *
 * While marks are made others go on writing. What makes the marks of a window good
 * for a transaction that drops rows of it is this:
 *
 *   1. The extents of a sealed snapshot never change.
 *   2. Those of a snapshot that is being imported are only added, in the order of
 *      their first page, and the last one may grow. marks_catch_up reads what came
 *      since, inside the transaction too.
 *   3. Those of a draft may change in any way. They are read all again, of each draft in
 *      one read transaction: with the lock only where they are few, else outside, until
 *      nobody has committed anything in between.
 *   4. A row and the extent that names it are committed together.
 *
 * One thread.
 */
#ifndef PAGODA_DB_MARKS_H
#define PAGODA_DB_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/index.h"

#ifndef MARKS_IDS /* a test has less, so that there are many windows; 64 at least */
#define MARKS_IDS (UINT64_C(1) << 26)
#endif

struct marks;

/* index is borrowed. The snapshot `without` counts as gone; 0: none. */
int marks_new(struct index *index, uint64_t without, struct marks **ret) MUST_CHECK;
void marks_free(struct marks *marks);
DEFINE_AUTO(struct marks *, marks_free)

/* Marks the window of ids from first on anew. Imports that were cut off count as gone.
 * -EBADMSG where a sealed snapshot has not as many pages as it was sealed with: of a
 * damaged index nobody can say what is garbage. */
int marks_load(struct marks *marks, uint64_t first) MUST_CHECK;

/* Marks what was named since; looks at some `most` extents at the most. *ret_all: there
 * was no more. */
int marks_catch_up(struct marks *marks, uint64_t most, bool *ret_all) MUST_CHECK;

/* Is the id in the window? */
bool marks_covers(const struct marks *marks, uint64_t id);

/* ... and marked? */
bool marks_has(const struct marks *marks, uint64_t id);

#endif
