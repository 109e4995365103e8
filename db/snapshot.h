/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open snapshot: leased, its map resolved and proved.
 *
 * While one is open no process removes the snapshot or moves what it needs out
 * of reach. A struct snapshot may be read by any number of threads; opening
 * proves the digest of its map once in a process (milliseconds per GiB) and
 * is cheap after that. A draft can be opened too: it is read as it was flushed last
 * before that, by whoever changes it (db/draft.h), and has no digest.
 */
#ifndef PAGODA_DB_SNAPSHOT_H
#define PAGODA_DB_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/catalog.h"
#include "db/index.h"
#include "db/map.h"
#include "db/pages.h"

/* Room for the name of a writer. */
#define SNAPSHOT_WRITER_MAX 512

struct snapshot;

/* Takes the lease, then reads the row: -ENOENT if the snapshot is gone by then.
 * -EBADMSG if its map is not what was sealed. */
int snapshot_open(struct index *index, uint64_t id, struct snapshot **ret) MUST_CHECK;
/* As snapshot_open of a sealed one, but its map is not proved yet, unless it was before
 * in this process. What is done with it counts once snapshot_prove has said 0. */
int snapshot_open_unproved(struct index *index, uint64_t id, struct snapshot **ret) MUST_CHECK;
/* -EBADMSG if the map is not what was sealed. */
int snapshot_prove(const struct snapshot *snapshot, struct index *index) MUST_CHECK;
void snapshot_close(struct snapshot *snapshot);
DEFINE_AUTO(struct snapshot *, snapshot_close)

/* The row as it was at open; owned by the snapshot. */
const struct snapshot_row *snapshot_row(const struct snapshot *snapshot);

/* The map of the merged image (MAP_MEM) or of this layer alone (MAP_DIFF); owned
 * by the snapshot. */
const struct map *snapshot_map(const struct snapshot *snapshot, enum map_view view);

/* Is it a draft that another process has open for writing? What that has not flushed
 * nobody else reads. text becomes who it is. To be asked before snapshot_open: a writer
 * that goes in between has flushed all. */
bool snapshot_has_writer(struct index *index, const struct snapshot_row *row,
			 char text[SNAPSHOT_WRITER_MAX]);

/* Reads len bytes at off of the merged image or of the layer (absent pages read
 * as zero) into buf. The range lies inside the image. -EBADMSG and the other
 * errors of pages_read, with words that name snapshot and page. */
int snapshot_read(const struct snapshot *snapshot, struct pages *pages, enum map_view view,
		  uint64_t off, void *buf, size_t len) MUST_CHECK;

/* The text of the file `maps`, one run a line, from the index alone and without
 * a lease; *ret_text is the caller's to free. */
int snapshot_maps_text(struct index *index, uint64_t id, char **ret_text,
		       size_t *ret_len) MUST_CHECK;

#endif
