/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files of a view.
 *
 * A struct file is one open(2): the kernel hands it back with every call, from
 * any thread. It holds either an open snapshot (mem, diff), or bytes taken when
 * it was opened (the others); bytes that cannot change are shared by all who
 * have the file open. Calls take the index or pages of the calling thread.
 *
 * mem and vmstate of a draft are changed in place, for all who have them open.
 * Who writes a working set changes bytes of his own, which replace the old ones
 * as a whole when he closes.
 *
 * Knows nothing of FUSE. Functions return 0 or -errno with words.
 */
#ifndef PAGODA_FUSEFS_FILE_H
#define PAGODA_FUSEFS_FILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"
#include "db/pages.h"
#include "fusefs/content.h"

struct draft;
struct drafts;
struct file;

struct file_table {
	pthread_mutex_t lock;
	struct file *newest;   /* list, protected by lock */
	struct drafts *drafts; /* borrowed; set before the first open */
};

#define FILE_TABLE_INIT                                                                            \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER                                                  \
	}

/* Opens node number. With writer it is to be changed, which only a working set
 * and files of a draft can: others are opened all the same and refuse the write (QEMU
 * opens what it reads for writing). -ESTALE if its snapshot is gone, -EROFS for what
 * could be changed were it not in a store that cannot be written, -EBUSY if another
 * process changes the draft, -EBADMSG. Without wait -EAGAIN instead of waiting for
 * that process, or for a thread that stores; with it up to 2 s, or 30. */
int file_open(struct file_table *table, struct index *index, uint64_t number, bool writer,
	      bool wait, struct file **ret) MUST_CHECK;

/* Is it mem or vmstate of a draft? */
bool file_is_draft(const struct file *file);

/* Does its last close store something, which waits for the store? */
bool file_close_stores(const struct file *file);

/* Lets go. Of a draft the last writer stores what is left; -errno where that failed.
 * Of anything else nothing is stored: see file_store. */
int file_close(struct file_table *table, struct file *file);

/* Lets go of all: for after the last request. */
void file_close_all(struct file_table *table);

/* Of its node. */
uint64_t file_number(const struct file *file);

/* "guest-a/mem", by the snapshot's name at open. */
const char *file_name(const struct file *file);

/* May the kernel keep pages of it, and may it keep those it has? */
bool file_is_cached(const struct file *file);
bool file_keeps_cache(struct file_table *table, struct file *file);

/* Does it never change? */
bool file_is_fixed(const struct file *file);

/* Bytes. */
uint64_t file_size(struct file *file);

/* Reads at off into buf (room for len bytes) up to the end of the file;
 * *ret_len is below len only there. -EIO, -EBADMSG. */
int file_read(struct file *file, struct pages *pages, uint64_t off, void *buf, size_t len,
	      size_t *ret_len) MUST_CHECK;

/* lseek(2) with SEEK_DATA or SEEK_HOLE. -ENXIO past the end. */
int file_seek(struct file *file, int64_t off, bool data, uint64_t *ret_off) MUST_CHECK;

/* -EROFS unless it is a working set or of a draft, and opened by a writer; -EFBIG
 * beyond ATTACHMENT_BYTES_MAX, or behind the end of mem, where *ret_len may be below
 * len. With append off is not looked at. -EAGAIN where something must be stored before:
 * see drafts_make_room. */
int file_write(struct file *file, struct pages *pages, uint64_t off, bool append, const void *buf,
	       size_t len, size_t *ret_len) MUST_CHECK;

/*
 * A write failed, which is not answered yet. The kernel may show what it was to write
 * as what is there, until its pages are dropped: from here on every open has that done.
 * For those who have it open already the caller does it after the answer, and until
 * then holds the draft, which keeps it from being sealed: returns a writer's handle for
 * draft_close. NULL where no draft was written to.
 */
struct draft *file_lose(struct file_table *table, struct file *file);

/* Makes a range of a file of a draft zero, inside the file. -EROFS, -EOPNOTSUPP for a
 * working set, -EAGAIN as above. */
int file_zero(struct file *file, struct pages *pages, uint64_t off, uint64_t len) MUST_CHECK;

/* mem of a draft: 0 is all zero pages, its own size nothing, else -EPERM. */
int file_truncate(struct file *file, uint64_t size) MUST_CHECK;

/* Truncation of a node of which only the number is known. The kernel does not
 * say which open(2) a truncation by O_TRUNC belongs to: it is applied to the
 * newest writer who has changed nothing yet (of a draft: to the file, where it is open
 * for writing), with its result in *ret. false where there is none. */
bool file_truncate_open(struct file_table *table, uint64_t number, uint64_t size, int *ret);

/* Where there is none: takes effect at once. Waits for the store and fails like
 * file_open, file_truncate and file_store. */
int file_truncate_closed(struct file_table *table, struct index *index, uint64_t number,
			 uint64_t size) MUST_CHECK;

/* What of it is not stored yet. */
enum content_change file_change(struct file *file);

/* Stores all changes, durably: the old bytes are there or the new ones. Waits for
 * the writer lock of the store, up to 30 s; meanwhile the file can be read and
 * changed by others, but is stored by one thread at a time. -EINVAL if it is no
 * working set of this image, -ESTALE if the snapshot is gone, -EBUSY, -EROFS,
 * -ENOSPC, ...: what was stored before is untouched. */
int file_store(struct file *file, struct index *index) MUST_CHECK;

#endif
