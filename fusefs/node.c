/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "db/attachment.h"
#include "db/info.h"
#include "db/snapshot.h"
#include "db/store.h"

#define KIND_BITS 4
#define STAT_BLOCK 512

_Static_assert(NODE_KINDS <= 1 << KIND_BITS, "a kind must fit into its bits");

/* Nobody makes files here, so a draft has one that can be written. */
static bool has_vmstate(const struct snapshot_row *row)
{
	return row->has_vmstate || row->state == SNAPSHOT_DRAFT;
}

static uint64_t image_size(const struct snapshot_row *row)
{
	return row->size;
}

static uint64_t vmstate_size(const struct snapshot_row *row)
{
	return row->has_vmstate ? row->vmstate_bytes : 0;
}

static uint64_t workingset_size(const struct snapshot_row *row)
{
	return row->workingset_bytes;
}

static int load_vmstate(struct index *index, const struct snapshot_row *row, void **ret_data,
			size_t *ret_len)
{
	return attachment_read(index, row->id, "vmstate", ret_data, ret_len);
}

static int load_info(struct index *index, const struct snapshot_row *row, void **ret_data,
		     size_t *ret_len)
{
	char *text;
	int r = info_text(index, row, &text, ret_len);

	if (r < 0)
		return r;
	*ret_data = text;
	return 0;
}

static int load_maps(struct index *index, const struct snapshot_row *row, void **ret_data,
		     size_t *ret_len)
{
	char *text;
	int r = snapshot_maps_text(index, row->id, &text, ret_len);

	if (r < 0)
		return r;
	*ret_data = text;
	return 0;
}

/* None recorded is an empty one. */
static int load_workingset(struct index *index, const struct snapshot_row *row, void **ret_data,
			   size_t *ret_len)
{
	int r = attachment_read(index, row->id, "workingset", ret_data, ret_len);
	void *empty;

	if (r != -ENOENT)
		return r;
	empty = calloc(1, 1);
	if (!empty)
		return fail_with(-ENOMEM, "out of memory");
	*ret_data = empty;
	*ret_len = 0;
	return 0;
}

static const struct node_type types[NODE_KINDS] = {
	[NODE_MEM] = {.name = "mem",
		      .is_mapped = true,
		      .view = MAP_MEM,
		      .is_fixed = true,
		      .is_drafted = true,
		      .size = image_size},
	[NODE_DIFF] = {.name = "diff",
		       .is_mapped = true,
		       .view = MAP_DIFF,
		       .is_fixed = true,
		       .size = image_size},
	[NODE_VMSTATE] = {.name = "vmstate",
			  .is_fixed = true,
			  .is_drafted = true,
			  .exists = has_vmstate,
			  .size = vmstate_size,
			  .load = load_vmstate},
	[NODE_INFO] = {.name = "info.json", .load = load_info},
	[NODE_MAPS] = {.name = "maps", .load = load_maps},
	[NODE_WORKINGSET] = {.name = "workingset",
			     .is_replaceable = true,
			     .size = workingset_size,
			     .load = load_workingset},
};

const struct node_type *node_type(enum node_kind kind)
{
	return &types[kind];
}

enum node_kind node_next(enum node_kind kind, const struct snapshot_row *row)
{
	do {
		kind++;
	} while (kind < NODE_KINDS && types[kind].exists && !types[kind].exists(row));
	return kind;
}

enum node_kind node_find(const char *name, const struct snapshot_row *row)
{
	enum node_kind kind = node_next(NODE_DIR, row);

	while (kind < NODE_KINDS && strcmp(types[kind].name, name) != 0)
		kind = node_next(kind, row);
	return kind;
}

uint64_t node_number(uint64_t id, enum node_kind kind)
{
	return id << KIND_BITS | kind;
}

uint64_t node_id(uint64_t number)
{
	return number >> KIND_BITS;
}

enum node_kind node_kind(uint64_t number)
{
	unsigned int kind = number & ((1U << KIND_BITS) - 1);

	return kind < NODE_KINDS && node_id(number) > 0 ? kind : NODE_KINDS;
}

bool node_is_fixed(const struct snapshot_row *row, enum node_kind kind)
{
	return row->state == SNAPSHOT_SEALED && (kind == NODE_DIR || types[kind].is_fixed);
}

bool node_is_draft(const struct snapshot_row *row, enum node_kind kind)
{
	return row->state == SNAPSHOT_DRAFT && kind != NODE_DIR && types[kind].is_drafted;
}

/* Who may read may also look into directories. */
static mode_t dir_mode(const struct settings *settings)
{
	return S_IFDIR | (settings->mode & 0444) | (settings->mode & 0444) >> 2;
}

static void stat_common(const struct settings *settings, uint64_t time_ns, struct stat *st)
{
	struct timespec when = {.tv_sec = (time_t)(time_ns / NS_PER_SEC),
				.tv_nsec = (long)(time_ns % NS_PER_SEC)};

	*st = (struct stat){
		.st_uid = settings->uid,
		.st_gid = settings->gid,
		.st_nlink = 1,
		.st_blksize = PAGE_BYTES,
		.st_atim = when,
		.st_mtim = when,
		.st_ctim = when,
	};
}

/* In pages: what the file holds as data. cp and tar believe it when they look
 * for holes. */
static uint64_t data_pages(const struct snapshot_row *row, enum map_view view)
{
	return view == MAP_MEM ? row->data_pages : row->layer_data + row->layer_zero;
}

static int exact_size(struct index *index, const struct node_type *type,
		      const struct snapshot_row *row, uint64_t *ret)
{
	AUTO_FREE void *data = NULL;
	size_t len;
	int r;

	if (type->size) {
		*ret = type->size(row);
		return 0;
	}
	r = type->load(index, row, &data, &len);
	if (r < 0)
		return r;
	*ret = len;
	return 0;
}

int node_stat(struct index *index, const struct settings *settings, const struct snapshot_row *row,
	      enum node_kind kind, struct stat *ret)
{
	const struct node_type *type = &types[kind];
	struct stat st;
	uint64_t size;
	int r;

	stat_common(settings, row->changed_ns, &st);
	st.st_ino = node_number(row->id, kind);
	if (kind == NODE_DIR) {
		st.st_mode = dir_mode(settings);
		st.st_nlink = 2;
		*ret = st;
		return 0;
	}
	r = exact_size(index, type, row, &size);
	if (r < 0)
		return r;
	st.st_mode = S_IFREG | settings->mode |
		     (type->is_replaceable || node_is_draft(row, kind) ? S_IWUSR : 0);
	st.st_size = (off_t)size;
	st.st_blocks =
		(blkcnt_t)(type->is_mapped ? data_pages(row, type->view) * (PAGE_BYTES / STAT_BLOCK)
					   : (size + STAT_BLOCK - 1) / STAT_BLOCK);
	*ret = st;
	return 0;
}

void node_stat_root(const struct settings *settings, uint64_t since_ns, struct stat *ret)
{
	/* nlink 1 says "not counted" to find(1), which else counts directories */
	stat_common(settings, since_ns, ret);
	ret->st_ino = NODE_ROOT;
	ret->st_mode = dir_mode(settings);
}
