/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store: a directory with an index, packs of pages and locks.
 *
 * A struct store is shared by the threads of a process; each thread that reads
 * or writes opens a struct index (db/index.h) of its own on it. A process opens a
 * store at most once. Do not fork with a store open.
 *
 * Errors are negative errno, with words in fail_text(). In all of db/:
 *   -ENOENT           no such store, snapshot or file
 *   -EEXIST           the name is taken
 *   -EBUSY            locked or in use; the words name the holder
 *   -EBADMSG          damaged: what is stored is not what was stored
 *   -EPROTONOSUPPORT  a format newer than this program
 *   -EINVAL           refused input
 *   -EROFS            the store cannot be written
 *   -ENOSPC, -EDQUOT, -EFBIG, -EIO, -ENOMEM, -EACCES, ... of the system call
 */
#ifndef PAGODA_DB_STORE_H
#define PAGODA_DB_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"

#define PAGE_BYTES 4096
#define STORE_UUID_BYTES 16
#define IMAGE_BYTES_MAX (UINT64_C(1) << 44) /* 16 TiB: opening one proves it in seconds */

struct store;

/* Makes an empty store at path: a new directory, or an empty one. It appears
 * complete or not at all. -EEXIST where a store is already, -ENOTEMPTY where
 * other files are. */
int store_init(const char *path) MUST_CHECK;

/* Opens the store at path: proves its format, its schema and that no commit is
 * lost. A store that cannot be written is opened for reading all the same. */
int store_open(const char *path, struct store **ret_store) MUST_CHECK;

/* Whoever has an index, a snapshot or a lease of it closes that before. */
void store_close(struct store *store);
DEFINE_AUTO(struct store *, store_close)

/* The path given to store_open; owned by the store. */
const char *store_path(const struct store *store);

const uint8_t *store_uuid(const struct store *store);

bool store_is_writable(const struct store *store);

/* Tells others what this process is, for their "busy" messages; command is
 * copied: "pagodafs on /mnt". */
void store_set_holder(struct store *store, const char *command);

#endif
