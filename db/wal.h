/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write-ahead log of an index, index.db-wal: how long it is, room in it, and its way
 * into index.db. The format is SQLite's (sqlite.org/fileformat2.html, "The Write-Ahead
 * Log"): 32 bytes, then frames of 24 bytes and a page.
 *
 * Private to db/; of one thread at a time, like the index.
 */
#ifndef PAGODA_DB_WAL_H
#define PAGODA_DB_WAL_H

struct index;

/* Counts the pages of the log from now on. After the pragmas of the connection:
 * wal_autocheckpoint takes SQLite's hook for itself. */
void wal_watch(struct index *index);

/*
 * Within a write transaction: makes the log longer where the transaction may be about to.
 * Writing over it is half as dear as making it longer, which takes a second flush for the
 * length, so it is made longer by many pages at once. The zeros are no frame to SQLite, as
 * what is left of an older log is none. A failure costs nothing but that.
 */
void wal_make_room(struct index *index);

/* With the writer lock, outside of a transaction: moves the log into index.db, and empties
 * it where the mode, SQLITE_CHECKPOINT_..., says so and no reader is in it. A failure costs
 * nothing: the next one does it. */
void wal_checkpoint(struct index *index, int mode);

#endif
