/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/listing.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "db/catalog.h"
#include "fusefs/node.h"

/* false when it is full. next is where a later readdir goes on. */
static bool listing_add(struct listing *listing, const char *name, uint64_t number, mode_t mode,
			uint64_t next)
{
	struct stat st = {.st_ino = number, .st_mode = mode};
	size_t need = fuse_add_direntry(listing->req, listing->data + listing->used,
					listing->room - listing->used, name, &st, (off_t)next);

	if (need > listing->room - listing->used)
		return false;
	listing->used += need;
	return true;
}

/* "." and ".." are at offsets 0 and 1. */
static bool list_dots(struct listing *listing, uint64_t number, uint64_t *off)
{
	for (; *off < 2; ++*off)
		if (!listing_add(listing, *off == 0 ? "." : "..", *off == 0 ? number : NODE_ROOT,
				 S_IFDIR, *off + 1))
			return false;
	return true;
}

/* The offset behind a snapshot is its id + 2. */
int listing_root(struct listing *listing, struct index *index, uint64_t off)
{
	struct snapshot_row row;
	int r;

	if (!list_dots(listing, NODE_ROOT, &off))
		return 0;
	while ((r = catalog_next(index, off - 2, &row)) == 0 || (r == -EBADMSG && row.id > 0)) {
		off = row.id + 2;
		if (r < 0) { /* one that cannot be read does not hide the others */
			listing->left_out = r;
			fail_copy(r, listing->why); /* the next call has words of its own */
			continue;
		}
		if (!listing_add(listing, row.name, node_number(row.id, NODE_DIR), S_IFDIR, off))
			return 0;
	}
	return r == -ENOENT ? 0 : r;
}

/* The offset behind a file is its kind + 2. */
int listing_snapshot(struct listing *listing, struct index *index, uint64_t number, uint64_t off)
{
	struct snapshot_row row;
	enum node_kind kind;
	int r = catalog_find_id(index, node_id(number), &row);

	if (r < 0) /* as of any directory that was removed: empty */
		return r == -ENOENT ? 0 : r;
	if (!list_dots(listing, number, &off))
		return 0;
	for (kind = off - 2 < NODE_KINDS ? (enum node_kind)(off - 2) : NODE_KINDS;
	     (kind = node_next(kind, &row)) < NODE_KINDS;)
		if (!listing_add(listing, node_type(kind)->name, node_number(row.id, kind), S_IFREG,
				 kind + 2))
			break;
	return 0;
}
