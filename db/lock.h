/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks of a store: the writer lock, leases of snapshots, write leases of drafts.
 *
 * All are open-file-description locks on bytes of STORE/lock, so they die with
 * their process. The same bytes are locked in STORE/holders/PID, a file that says
 * who the process is: so a "busy" message can name the holder.
 *
 * A struct locks is shared by the threads of a process. An open file description
 * does not exclude itself, so threads are kept apart by mutexes here.
 * Order: the mutex inside, a lease, a write lease, the writer lock. Nobody waits for a lease
 * with the writer lock held.
 */
#ifndef PAGODA_DB_LOCK_H
#define PAGODA_DB_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/holder.h"

/* How long the writer lock, and a lease another is about to let go, are waited for. */
#define LOCK_WRITER_WAIT_MS 30000
#define LOCK_LEASE_WAIT_MS 2000

struct locks;

/* dir is the store's path. Not writable: shared leases only, and no holder file. */
int locks_open(const char *dir, bool writable, struct locks **ret) MUST_CHECK;
void locks_close(struct locks *locks);
DEFINE_AUTO(struct locks *, locks_close)

/* What this process calls itself to others. */
void locks_set_command(struct locks *locks, const char *command);

/* Waits for the writer lock; -EBUSY names the holder. -EROFS where not writable. */
int locks_take_writer(struct locks *locks) MUST_CHECK;
void locks_drop_writer(struct locks *locks);

/* A shared lease: the snapshot stays. Counted: each take wants a drop. Waits
 * LOCK_LEASE_WAIT_MS for an exclusive one to go, then -EBUSY. */
int locks_take_lease(struct locks *locks, uint64_t id) MUST_CHECK;

/* The exclusive lease of an importer, or of who removes: waits wait_ms for the
 * others to go, then -EBUSY that names one. */
int locks_take_exclusive(struct locks *locks, uint64_t id, unsigned int wait_ms) MUST_CHECK;

/* Does anybody hold a lease of either kind on it at this moment? */
bool locks_is_leased(struct locks *locks, uint64_t id);
/* Any other process? */
bool locks_is_leased_by_others(struct locks *locks, uint64_t id);

/* Collecting garbage is done by one process at a time: -EBUSY names it, at once. */
int locks_take_collector(struct locks *locks) MUST_CHECK;
void locks_drop_collector(struct locks *locks);

/* Ends a lease of either kind. Returns whether this process holds any other. */
bool locks_drop_lease(struct locks *locks, uint64_t id);

/* How many leases of the snapshot this process holds. */
unsigned int locks_count_leases(struct locks *locks, uint64_t id);

/* The write lease of a draft, beside its lease: one process changes it at a time.
 * Waits wait_ms for another to let it go, then -EBUSY that names who has it. */
int locks_take_write(struct locks *locks, uint64_t id, unsigned int wait_ms) MUST_CHECK;
void locks_drop_write(struct locks *locks, uint64_t id);

/* Has another process the write lease of the draft at this moment? Then text says who. */
bool locks_find_writer(struct locks *locks, uint64_t id, char text[HOLDER_TEXT_MAX]);

#endif
