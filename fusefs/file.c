/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "db/attachment.h"
#include "db/draft.h"
#include "db/draft-seen.h"
#include "db/draft-vmstate.h"
#include "db/snapshot.h"
#include "db/store.h"
#include "fusefs/content.h"
#include "fusefs/draft-file.h"
#include "fusefs/node.h"
#include "fusefs/workingset.h"

#define LEASE_WAIT_MS 250		   /* for a draft that another mount has just let go of */
#define NAME_ROOM (SNAPSHOT_NAME_MAX + 32) /* "<snapshot>/<file>" */

struct file {
	uint64_t number;
	const struct node_type *type;
	struct snapshot *snapshot; /* owned: the lease; NULL for what is not fixed */
	struct content *content;   /* shared if fixed, else of this file; NULL if mapped */
	struct draft_file drafted; /* of a draft, with draft set: then neither of the two */
	uint64_t version;	   /* of what was a draft, else 0 */
	bool drops;		   /* its open had the kernel drop older pages */
	uint64_t losses;	   /* by then: see drafts_lost */
	uint64_t npages;	   /* of the image */
	bool fixed;		   /* its bytes never change */
	bool writer;
	char name[NAME_ROOM];
	/* Protected by the table's lock. */
	struct file *newer;
	struct file *older;
};

static void table_add(struct file_table *table, struct file *file)
{
	pthread_mutex_lock(&table->lock);
	file->older = table->newest;
	if (table->newest)
		table->newest->newer = file;
	table->newest = file;
	pthread_mutex_unlock(&table->lock);
}

static void table_remove(struct file_table *table, struct file *file)
{
	pthread_mutex_lock(&table->lock);
	if (file->newer)
		file->newer->older = file->older;
	else if (table->newest == file)
		table->newest = file->older;
	if (file->older)
		file->older->newer = file->newer;
	pthread_mutex_unlock(&table->lock);
}

/* What another has open, with a reference for the caller; NULL if nobody has. */
static struct content *find_shared(struct file_table *table, uint64_t number)
{
	struct content *content = NULL;

	pthread_mutex_lock(&table->lock);
	for (struct file *file = table->newest; file && !content; file = file->older)
		if (file->number == number)
			content = file->content ? content_ref(file->content) : NULL;
	pthread_mutex_unlock(&table->lock);
	return content;
}

static enum draft_part part_of(const struct file *file)
{
	switch (node_kind(file->number)) {
	case NODE_MEM:
		return DRAFT_MEM;
	case NODE_DIFF:
		return DRAFT_DIFF;
	default:
		return DRAFT_VMSTATE;
	}
}

/* What was older was dropped when its open returned, which was before its release. What
 * a writer changed since, came this way. */
static void note_seen(struct file_table *table, const struct file *file)
{
	uint64_t version =
		file->drafted.writer ? draft_version(file->drafted.draft) : file->version;

	drafts_set_seen(table->drafts, node_id(file->number), part_of(file), version, file->losses);
}

static int file_free(struct file_table *table, struct file *file)
{
	int r = 0;

	if (file->drops)
		note_seen(table, file);
	if (file->drafted.draft)
		r = draft_close(file->drafted.draft, file->drafted.writer);
	content_unref(file->content);
	snapshot_close(file->snapshot);
	free(file);
	return r;
}

static int gone_is_stale(int r)
{
	return r == -ENOENT ? -ESTALE : r;
}

static int fill_content(struct file_table *table, struct index *index,
			const struct snapshot_row *row, struct file *file)
{
	void *data;
	size_t len;
	int r;

	if (file->fixed)
		file->content = find_shared(table, file->number);
	if (file->content)
		return 0;
	r = file->type->load(index, row, &data, &len);
	return r < 0 ? r : content_new(data, len, file->fixed, &file->content);
}

/* Opens a file of a draft; -ESTALE where it is none any more. */
static int fill_draft(struct file_table *table, struct index *index, const struct snapshot_row *row,
		      struct file *file, bool writer, bool wait)
{
	struct draft_file *drafted = &file->drafted;
	int r;

	if (writer && !store_is_writable(index_store(index)))
		return -EROFS;
	drafted->which = part_of(file);
	drafted->writer = writer;
	r = draft_open(table->drafts, index, row->id, writer, wait ? LEASE_WAIT_MS : 0,
		       &drafted->draft);
	if (r < 0)
		drafted->draft = NULL;
	else if (drafted->which == DRAFT_VMSTATE)
		r = draft_vmstate_open(drafted->draft, index, wait);
	if (r < 0)
		return r == -EBUSY && !wait ? -EAGAIN : r;
	file->npages = row->size / PAGE_BYTES;
	file->version = draft_version(drafted->draft);
	snprintf(file->name, sizeof(file->name), "%s/%s", row->name, file->type->name);
	return 0;
}

/* Fixed files hold the lease, which comes before the row: a row read earlier may
 * be of a snapshot that is being removed. */
static int fill(struct file_table *table, struct index *index, struct file *file, bool writer,
		bool wait)
{
	uint64_t id = node_id(file->number);
	struct snapshot_row found;
	const struct snapshot_row *row = &found;
	int r = catalog_find_id(index, id, &found);

	if (r == 0 && node_is_draft(row, node_kind(file->number))) {
		r = fill_draft(table, index, row, file, writer, wait);
		if (r != -ESTALE)
			return r;
		r = 0; /* sealed since its row was read */
	}
	if (r == 0 && file->type->is_fixed) {
		r = snapshot_open(index, id, &file->snapshot);
		if (r == 0)
			row = snapshot_row(file->snapshot);
	}
	if (r < 0)
		return r;
	file->version = row->version;
	file->npages = row->size / PAGE_BYTES;
	file->fixed = node_is_fixed(row, node_kind(file->number));
	snprintf(file->name, sizeof(file->name), "%s/%s", row->name, file->type->name);
	return file->type->is_mapped ? 0 : fill_content(table, index, row, file);
}

int file_open(struct file_table *table, struct index *index, uint64_t number, bool writer,
	      bool wait, struct file **ret)
{
	enum node_kind kind = node_kind(number);
	struct file *file;
	int r;

	if (kind == NODE_DIR || kind == NODE_KINDS)
		return -ESTALE;
	if (writer && node_type(kind)->is_replaceable && !store_is_writable(index_store(index)))
		return -EROFS;
	file = calloc(1, sizeof(*file));
	if (!file)
		return fail_with(-ENOMEM, "out of memory");
	file->number = number;
	file->type = node_type(kind);
	file->writer = writer && node_type(kind)->is_replaceable;
	r = fill(table, index, file, writer, wait);
	if (r < 0) {
		char text[FAIL_TEXT_MAX];

		fail_copy(r, text);
		(void)!file_free(table, file);
		return gone_is_stale(fail_with(r, "%s", text));
	}
	table_add(table, file);
	*ret = file;
	return 0;
}

bool file_is_draft(const struct file *file)
{
	return file->drafted.draft;
}

bool file_close_stores(const struct file *file)
{
	return file->drafted.draft && file->drafted.writer;
}

int file_close(struct file_table *table, struct file *file)
{
	table_remove(table, file);
	return file_free(table, file);
}

void file_close_all(struct file_table *table)
{
	while (table->newest)
		(void)!file_close(table, table->newest); /* drafts_free tells what is lost */
}

uint64_t file_number(const struct file *file)
{
	return file->number;
}

const char *file_name(const struct file *file)
{
	return file->name;
}

bool file_is_cached(const struct file *file)
{
	return file->fixed || file->drafted.draft;
}

/* What was cached of a draft may be older: another process may have changed it. */
bool file_keeps_cache(struct file_table *table, struct file *file)
{
	enum node_kind kind = node_kind(file->number);

	/* a private map of a draft's diff, direct_io as it is, fills the cache of what the
	 * sealed one is read from */
	if (file->version == 0 ||
	    !(node_type(kind)->is_drafted || (kind == NODE_DIFF && file->fixed)))
		return file->fixed;
	file->drops = !drafts_seen(table->drafts, node_id(file->number), part_of(file),
				   file->version, &file->losses);
	return !file->drops;
}

bool file_is_fixed(const struct file *file)
{
	return file->fixed;
}

uint64_t file_size(struct file *file)
{
	if (file->drafted.draft)
		return draft_file_size(&file->drafted);
	if (file->type->is_mapped)
		return file->npages * PAGE_BYTES;
	return content_size(file->content);
}

static int mapped_read(struct file *file, struct pages *pages, uint64_t off, void *buf, size_t len,
		       size_t *ret_len)
{
	uint64_t size = file_size(file);
	size_t count = off < size ? (size_t)MIN((uint64_t)len, size - off) : 0;
	int r = 0;

	if (count > 0)
		r = snapshot_read(file->snapshot, pages, file->type->view, off, buf, count);
	if (r == 0)
		*ret_len = count;
	return r;
}

int file_read(struct file *file, struct pages *pages, uint64_t off, void *buf, size_t len,
	      size_t *ret_len)
{
	if (file->drafted.draft)
		return draft_file_read(&file->drafted, pages, off, buf, len, ret_len);
	if (file->type->is_mapped)
		return mapped_read(file, pages, off, buf, len, ret_len);
	*ret_len = content_read(file->content, off, buf, len);
	return 0;
}

int file_seek(struct file *file, int64_t off, bool data, uint64_t *ret_off)
{
	uint64_t size = file_size(file);

	if (off < 0 || (uint64_t)off >= size)
		return -ENXIO;
	if (file->drafted.draft)
		return draft_file_seek(&file->drafted, (uint64_t)off, data, ret_off);
	if (file->type->is_mapped)
		return map_seek(snapshot_map(file->snapshot, file->type->view), file->type->view,
				(uint64_t)off, data, ret_off);
	*ret_off = data ? (uint64_t)off : size;
	return 0;
}

int file_write(struct file *file, struct pages *pages, uint64_t off, bool append, const void *buf,
	       size_t len, size_t *ret_len)
{
	int r;

	if (file->drafted.writer)
		return draft_file_write(&file->drafted, pages, off, append, buf, len, ret_len);
	if (!file->writer)
		return -EROFS;
	r = content_write(file->content, off, append, buf, len);
	if (r == 0)
		*ret_len = len;
	return r;
}

struct draft *file_lose(struct file_table *table, struct file *file)
{
	if (!file->drafted.writer)
		return NULL;
	drafts_lost(table->drafts, node_id(file->number), part_of(file));
	draft_hold(file->drafted.draft);
	return file->drafted.draft;
}

int file_zero(struct file *file, struct pages *pages, uint64_t off, uint64_t len)
{
	if (file->drafted.writer)
		return draft_file_zero(&file->drafted, pages, off, len);
	return file->writer ? -EOPNOTSUPP : -EROFS;
}

int file_truncate(struct file *file, uint64_t size)
{
	if (file->drafted.writer)
		return draft_file_truncate(&file->drafted, size);
	return file->writer ? content_truncate(file->content, size) : -EROFS;
}

/* Truncates the file if it belongs to a writer who has changed nothing yet. */
static bool truncate_untouched(struct file *file, uint64_t size, int *ret)
{
	if (file->drafted.writer) {
		*ret = draft_file_truncate(&file->drafted, size);
		return true;
	}
	return file->writer && content_truncate_untouched(file->content, size, ret);
}

bool file_truncate_open(struct file_table *table, uint64_t number, uint64_t size, int *ret)
{
	struct file *file;

	pthread_mutex_lock(&table->lock);
	for (file = table->newest; file; file = file->older)
		if (file->number == number && truncate_untouched(file, size, ret))
			break;
	pthread_mutex_unlock(&table->lock);
	return file;
}

int file_truncate_closed(struct file_table *table, struct index *index, uint64_t number,
			 uint64_t size)
{
	struct file *file;
	char text[FAIL_TEXT_MAX];
	int r = file_open(table, index, number, true, true, &file);

	if (r < 0)
		return r;
	r = file_truncate(file, size);
	if (r == 0)
		r = file_store(file, index);
	fail_copy(r, text);
	(void)!file_close(table, file); /* it is stored, or r says why not */
	return r < 0 ? fail_with(r, "%s", text) : 0;
}

enum content_change file_change(struct file *file)
{
	/* also by a reader: fsync is about the file, not about who has it open */
	if (file->drafted.draft)
		return draft_is_dirty(file->drafted.draft) ? CONTENT_WRITTEN : CONTENT_STORED;
	return file->content ? content_change(file->content) : CONTENT_STORED;
}

int file_store(struct file *file, struct index *index)
{
	AUTO_FREE char *data = NULL;
	uint64_t nchanges;
	size_t len;
	int r;

	if (file_change(file) == CONTENT_STORED)
		return 0;
	if (file->drafted.draft)
		return draft_store(file->drafted.draft, false);
	r = content_copy(file->content, &data, &len, &nchanges);
	if (r == 0)
		r = workingset_check(data, len, file->npages);
	if (r == 0)
		r = attachment_write(index, node_id(file->number), file->type->name, data, len);
	if (r < 0)
		return gone_is_stale(r);
	content_set_stored(file->content, nchanges);
	return 0;
}
