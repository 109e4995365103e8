/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write-ahead log of an index, index.db-wal: how long it is, and its way into
 * index.db.
 *
 * Private to db/; of one thread at a time, like the index.
 */
#ifndef PAGODA_DB_WAL_H
#define PAGODA_DB_WAL_H

struct index;

/* Counts the pages of the log from now on. After the pragmas of the connection:
 * wal_autocheckpoint takes SQLite's hook for itself. */
void wal_watch(struct index *index);

/* With the writer lock, outside of a transaction: moves the log into index.db, and empties
 * it where the mode, SQLITE_CHECKPOINT_..., says so and no reader is in it. A failure costs
 * nothing: the next one does it. */
void wal_checkpoint(struct index *index, int mode);

#endif
