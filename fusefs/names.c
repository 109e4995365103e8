/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the kernel may believe an answer:
 *
 *	what                            entry       attributes   pages
 *	the root                        -           for ever     -
 *	a name in the root              not at all  for ever     -
 *	mem, diff, vmstate (sealed)     for ever    for ever     kept
 *	mem, vmstate (draft)            for ever    not at all   as long as all that
 *	                                                         changes them comes
 *	                                                         this way (file.h)
 *	diff (draft), info.json,
 *	maps, workingset                for ever    not at all   never (direct_io)
 *
 * A name in the root is looked up every time, so a snapshot that was removed or
 * renamed is gone at once, and another of the same name has another number: no
 * page of the old one is under it. That a name does not exist is never kept.
 */
#include "config.h"

#include "fusefs/names.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "db/catalog.h"
#include "db/draft.h"
#include "db/store.h"
#include "fusefs/node.h"

#define FOR_EVER (365.0 * 86400) /* seconds */
#define STAT_BLOCK 512
#define NAME_BYTES_MOST 255 /* of a name the kernel asks for, as ext4 */

static int not_there(const char *name)
{
	return strlen(name) > NAME_BYTES_MOST ? -ENAMETOOLONG : -ENOENT;
}

static double timeout_of(const struct snapshot_row *row, enum node_kind kind)
{
	return node_is_fixed(row, kind) ? FOR_EVER : 0;
}

/* stat(2), as of this moment where it is a draft that is being written here. */
static int stat_now(struct view *view, struct index *index, const struct snapshot_row *row,
		    enum node_kind kind, struct stat *ret)
{
	struct draft_stat now;
	int r = node_stat(index, &view->settings, row, kind, ret);

	if (r < 0 || !node_is_draft(row, kind) || !drafts_stat(view->drafts, row->id, &now))
		return r;
	ret->st_mtim = ret->st_ctim = (struct timespec){
		.tv_sec = (time_t)(now.changed_ns / NS_PER_SEC),
		.tv_nsec = (long)(now.changed_ns % NS_PER_SEC),
	};
	if (kind == NODE_MEM) {
		ret->st_blocks = (blkcnt_t)(now.data_pages * (PAGE_BYTES / STAT_BLOCK));
	} else if (now.has_vmstate_bytes) {
		ret->st_size = (off_t)now.vmstate_bytes;
		ret->st_blocks = (blkcnt_t)((now.vmstate_bytes + STAT_BLOCK - 1) / STAT_BLOCK);
	}
	return 0;
}

static int find_in_root(struct view *view, struct index *index, const char *name,
			struct fuse_entry_param *entry)
{
	struct snapshot_row row;
	int r;

	if (catalog_check_name(name) < 0)
		return not_there(name);
	r = catalog_find(index, name, &row);
	if (r < 0)
		return r;
	entry->ino = node_number(row.id, NODE_DIR);
	entry->attr_timeout = timeout_of(&row, NODE_DIR);
	return node_stat(index, &view->settings, &row, NODE_DIR, &entry->attr);
}

static int find_in_snapshot(struct view *view, struct index *index, uint64_t parent,
			    const char *name, struct fuse_entry_param *entry)
{
	struct snapshot_row row;
	enum node_kind kind;
	int r = catalog_find_id(index, node_id(parent), &row);

	if (r < 0)
		return r;
	kind = node_find(name, &row);
	if (kind == NODE_KINDS)
		return not_there(name);
	entry->ino = node_number(row.id, kind);
	entry->attr_timeout = timeout_of(&row, kind);
	entry->entry_timeout = FOR_EVER;
	return stat_now(view, index, &row, kind, &entry->attr);
}

int names_find(struct view *view, struct index *index, uint64_t parent, const char *name,
	       struct fuse_entry_param *ret)
{
	struct fuse_entry_param entry = {.ino = 0};
	int r = parent == NODE_ROOT ? find_in_root(view, index, name, &entry)
				    : find_in_snapshot(view, index, parent, name, &entry);

	if (r == 0)
		*ret = entry;
	return r;
}

int names_stat(struct view *view, struct index *index, uint64_t number, struct stat *ret,
	       double *ret_timeout)
{
	struct snapshot_row row;
	int r;

	if (number == NODE_ROOT) {
		node_stat_root(&view->settings, view->since_ns, ret);
		*ret_timeout = FOR_EVER;
		return 0;
	}
	if (node_kind(number) == NODE_KINDS)
		return -ESTALE;
	r = catalog_find_id(index, node_id(number), &row);
	if (r == 0)
		r = stat_now(view, index, &row, node_kind(number), ret);
	if (r == 0)
		*ret_timeout = timeout_of(&row, node_kind(number));
	return r == -ENOENT ? -ESTALE : r;
}
