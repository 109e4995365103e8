/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog: which snapshots exist, and what is written about each.
 *
 * Snapshots that are still being imported are not in it. Functions use the
 * calling thread's index and return 0 or the -errno of db/store.h.
 */
#ifndef PAGODA_DB_CATALOG_H
#define PAGODA_DB_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/index.h"
#include "db/store.h"

#define SNAPSHOT_NAME_MAX 128
#define SNAPSHOT_NOTE_MAX 1024 /* bytes */
#define DIGEST_BYTES 16

enum snapshot_state {
	SNAPSHOT_IMPORTING = 0,
	SNAPSHOT_DRAFT = 1,
	SNAPSHOT_SEALED = 2,
};

/* A snapshot as the index describes it; counts as in db/schema.sql. */
struct snapshot_row {
	uint64_t id;
	uint64_t parent; /* id, 0 for none */
	uint64_t size;	 /* bytes of the image */
	uint64_t created_ns;
	uint64_t changed_ns; /* when its bytes changed last: as long as it was a draft */
	uint64_t version;    /* of what was a draft: grows with each change; else 0 */
	uint64_t data_pages;
	uint64_t layer_data;
	uint64_t layer_zero;
	uint64_t stored_pages;
	uint64_t stored_bytes;
	uint64_t vmstate_bytes;	   /* valid if has_vmstate; a draft has its parent's */
	uint64_t workingset_bytes; /* 0 if none is recorded */
	enum snapshot_state state;
	bool has_vmstate;
	bool has_digest;
	uint8_t digest[DIGEST_BYTES];
	uint8_t layer_digest[DIGEST_BYTES];
	uint8_t store_uuid[STORE_UUID_BYTES]; /* of the store it was found in */
	char name[SNAPSHOT_NAME_MAX + 1];
	char parent_name[SNAPSHOT_NAME_MAX + 1]; /* "" for none */
	char note[SNAPSHOT_NOTE_MAX + 1];
};

/* Is it [A-Za-z0-9][A-Za-z0-9._-]{0,127}? -EINVAL with words. */
int catalog_check_name(const char *name) MUST_CHECK;

/* -ENOENT where there is none. */
int catalog_find(struct index *index, const char *name, struct snapshot_row *ret) MUST_CHECK;
int catalog_find_id(struct index *index, uint64_t id, struct snapshot_row *ret) MUST_CHECK;

/* The snapshot with the smallest id above after (0 to start); -ENOENT at the end.
 * -EBADMSG where its row is damaged: ret->id is then its id, to go on behind it, or
 * 0 where the index is too damaged to go on. */
int catalog_next(struct index *index, uint64_t after, struct snapshot_row *ret) MUST_CHECK;

/* A snapshot that builds on another. */
struct catalog_child {
	uint64_t id;
	char name[SNAPSHOT_NAME_MAX + 1];
};

/* The child of that snapshot with the smallest id above after (0 to start); -ENOENT
 * without words at the end. */
int catalog_next_child(struct index *index, uint64_t parent, uint64_t after,
		       struct catalog_child *ret) MUST_CHECK;

/* A new name; -EEXIST where it is taken. Open files go on. */
int catalog_rename(struct index *index, const char *from, const char *to) MUST_CHECK;

/* Replaces the note: at most SNAPSHOT_NOTE_MAX bytes of UTF-8 without control
 * characters, "" for none. -EINVAL. */
int catalog_note(struct index *index, const char *name, const char *note) MUST_CHECK;

/* Removes a snapshot that nothing needs: waits up to 2 s for handles to go, then
 * -EBUSY with the holder or the child. With dry_run only says what it would do. */
int catalog_remove(struct index *index, const char *name, bool dry_run) MUST_CHECK;

#endif
