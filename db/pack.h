/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: files of compressed pages, appended once and never changed.
 *
 * Layout: a header of 64 bytes, integers little-endian:
 *   0  8  "PAGODAPK"
 *   8  4  1, the version
 *  12  4  64, the header's size
 *  16 16  uuid of the store
 *  32  8  number of the pack
 *  40 24  zero
 * then the blocks back to back, in the order of their page rows.
 *
 * A process appends only to a pack that it made and holds locked (byte 0 of the
 * file). A struct pack_writer is used by one thread.
 */
#ifndef PAGODA_DB_PACK_H
#define PAGODA_DB_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/store.h"

#define PACK_HEADER_BYTES 64
#ifndef PACK_BYTES_FULL			    /* tests make packs smaller */
#define PACK_BYTES_FULL (UINT64_C(1) << 30) /* a writer goes on to the next pack */
#endif
#define PACK_BYTES_LIMIT (UINT64_C(1) << 40) /* no page lies beyond */

/* Writes the path of a pack; path has room for PATH_MAX bytes. */
void pack_path(const struct store *store, uint32_t number, char *path);

/* Opens a pack for reading and proves its header; the caller closes *ret_fd. The kernel
 * reads nothing ahead of it: see db/read-ahead.h.
 * -ENOENT where there is none, -EBADMSG where it is another's or cut short. */
int pack_open(const struct store *store, uint32_t number, int *ret_fd) MUST_CHECK;

struct pack_writer;

/* Makes the pack of that number; its name is durable. -EEXIST where a file has it. */
int pack_writer_open(const struct store *store, uint32_t number,
		     struct pack_writer **ret) MUST_CHECK;
/* Lets the lock go; what was not flushed is lost. */
void pack_writer_close(struct pack_writer *writer);
DEFINE_AUTO(struct pack_writer *, pack_writer_close)

uint32_t pack_writer_number(const struct pack_writer *writer);

/* Where the next block will lie: the bytes so far. */
uint64_t pack_writer_size(const struct pack_writer *writer);

/* Appends len bytes (at most PAGE_BYTES); they may wait in a buffer. */
int pack_writer_append(struct pack_writer *writer, const void *block, size_t len) MUST_CHECK;

/* Reads len bytes at off, written or still in the buffer. */
int pack_writer_read(struct pack_writer *writer, uint64_t off, void *buf, size_t len) MUST_CHECK;

/* Writes the buffer out and makes all of it durable. */
int pack_writer_sync(struct pack_writer *writer) MUST_CHECK;

/* Writes the buffer out: *ret_written are the bytes in the file. */
int pack_writer_flush(struct pack_writer *writer, uint64_t *ret_written) MUST_CHECK;

/* Makes those bytes durable. Another thread may do that while this one appends, reads
 * and flushes, but nothing else. */
int pack_writer_sync_flushed(struct pack_writer *writer, uint64_t written) MUST_CHECK;

/* Gives back the space of what came after the last sync; the next block comes behind
 * that. */
void pack_writer_truncate(struct pack_writer *writer);

/* Has a sync failed? What the kernel dropped then a later one would not miss: no block
 * may be added any more. */
bool pack_writer_is_broken(const struct pack_writer *writer);

#endif
