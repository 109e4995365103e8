/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading open drafts: rules 1 and 2 of db/draft.c.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/fail.h"
#include "db/draft-private.h"
#include "db/reader.h"
#include "db/store-private.h"

#define CHUNK_PAGES 256
#define READ_TRIES 3

/* ---- reading ---- */

/* Which of the three overlays has the page, the newest first. With lock held. */
static enum overlay_kind find(const struct draft *draft, uint64_t pgno, const void **ret_plain)
{
	enum overlay_kind kind = overlay_find(draft->dirty, pgno, ret_plain);

	if (kind == OVERLAY_NONE)
		kind = overlay_find(draft->flushing, pgno, ret_plain);
	if (kind == OVERLAY_NONE)
		kind = overlay_find(draft->pending, pgno, ret_plain);
	return kind;
}

void draft_lock(struct draft *draft, struct pages *pages)
{
	if (pthread_mutex_trylock(&draft->lock) == 0)
		return;
	index_waits(pages_index(pages));
	pthread_mutex_lock(&draft->lock);
}

/* Copies what overlays have of count pages, marks it in have, and returns the map for
 * the rest: all of one moment. */
static struct stored *copy_new(struct draft *draft, struct pages *pages, uint64_t pgno,
			       size_t count, char *buf, bool *have)
{
	struct stored *stored;

	draft_lock(draft, pages);
	for (size_t i = 0; i < count; i++) {
		const void *plain;
		enum overlay_kind kind = find(draft, pgno + i, &plain);

		have[i] = kind != OVERLAY_NONE;
		if (kind == OVERLAY_DATA)
			memcpy(buf + i * PAGE_BYTES, plain, PAGE_BYTES);
		else if (kind == OVERLAY_ZERO)
			memset(buf + i * PAGE_BYTES, 0, PAGE_BYTES);
	}
	stored = draft->stored;
	stored->refs++;
	pthread_mutex_unlock(&draft->lock);
	return stored;
}

static void put_stored(struct draft *draft, struct pages *pages, struct stored *stored)
{
	draft_lock(draft, pages);
	draft_stored_unref(stored);
	pthread_mutex_unlock(&draft->lock);
}

static int read_stored(const struct stored *stored, struct pages *pages, uint64_t pgno,
		       size_t count, char *buf, const bool *have)
{
	int r = 0;

	for (size_t i = 0, n; r == 0 && i < count; i += n) {
		for (n = 1; i + n < count && have[i + n] == have[i];)
			n++;
		if (!have[i])
			r = reader_read(stored->mem, NULL, pages, pgno + i, n,
					buf + i * PAGE_BYTES);
	}
	return r;
}

/* A page was not there: has the map changed since? Another process may have replaced
 * it, and garbage collection taken it. */
static bool is_replaced(struct draft *draft, struct pages *pages, const struct stored *before)
{
	bool changed;
	bool is_ours;
	int r;

	draft_lock(draft, pages);
	is_ours = draft->may_write;
	changed = draft->stored != before;
	pthread_mutex_unlock(&draft->lock);
	if (is_ours || changed)
		return changed;
	index_waits(pages_index(pages));
	pthread_mutex_lock(&draft->slow);
	r = draft->may_write ? 0 : draft_load(draft, pages_index(pages), true);
	pthread_mutex_unlock(&draft->slow);
	pthread_mutex_lock(&draft->lock);
	changed = r == 0 && draft->stored != before;
	pthread_mutex_unlock(&draft->lock);
	return changed;
}

/* At most CHUNK_PAGES whole pages. */
static int read_chunk(struct draft *draft, struct pages *pages, uint64_t pgno, size_t count,
		      char *buf)
{
	bool have[CHUNK_PAGES];
	int r = -EBADMSG;

	for (int tries = 0; r == -EBADMSG && tries < READ_TRIES; tries++) {
		struct stored *stored = copy_new(draft, pages, pgno, count, buf, have);
		char text[FAIL_TEXT_MAX];
		bool again = false;

		r = read_stored(stored, pages, pgno, count, buf, have);
		if (r == -EBADMSG) {
			fail_copy(r, text);
			again = is_replaced(draft, pages, stored);
			r = fail_with(r, "%s: %s", draft->name, text);
		}
		put_stored(draft, pages, stored);
		if (!again)
			break;
	}
	return r;
}

int draft_read(struct draft *draft, struct pages *pages, uint64_t off, void *buf, size_t len)
{
	char page[PAGE_BYTES];
	char *to = buf;
	int r = 0;

	while (r == 0 && len > 0) {
		size_t within = off % PAGE_BYTES;
		size_t n = MIN(len - len % PAGE_BYTES, (size_t)CHUNK_PAGES * PAGE_BYTES);

		if (within != 0 || len < PAGE_BYTES) {
			n = MIN(len, PAGE_BYTES - within);
			r = read_chunk(draft, pages, off / PAGE_BYTES, 1, page);
			memcpy(to, page + within, n);
		} else {
			r = read_chunk(draft, pages, off / PAGE_BYTES, n / PAGE_BYTES, to);
		}
		off += n;
		to += n;
		len -= n;
	}
	return r;
}

/* ---- what holes and stat need ---- */

static int lay(const struct overlay *overlay, struct map **map)
{
	AUTO(map_free_at) struct map *top = NULL;
	struct map *merged;
	int r;

	if (overlay_is_empty(overlay))
		return 0;
	r = overlay_map(overlay, (*map)->npages, &top);
	if (r == 0)
		r = map_lay_over(top, *map, 0, &merged);
	if (r < 0)
		return r;
	map_free(*map);
	*map = merged;
	return 0;
}

/* With lock held. */
static int view_make(struct draft *draft)
{
	AUTO(map_free_at) struct map *map = NULL;
	AUTO(map_free_at) struct map *nothing = NULL;
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	int r = map_builder_new(draft->size / PAGE_BYTES, &builder);

	if (r == 0)
		r = map_builder_finish(builder, false, &nothing);
	if (r == 0) /* a copy */
		r = map_lay_over(nothing, draft->stored->mem, 0, &map);
	if (r == 0)
		r = lay(draft->pending, &map);
	if (r == 0)
		r = lay(draft->flushing, &map);
	if (r == 0)
		r = lay(draft->dirty, &map);
	if (r < 0)
		return r;
	draft->view_data = map_count(map, MAP_MEM, 0, map->npages);
	draft->view = TAKE_PTR(map);
	return 0;
}

int draft_seek(struct draft *draft, uint64_t off, bool data, uint64_t *ret_off)
{
	int r = 0;

	pthread_mutex_lock(&draft->lock);
	if (!draft->view)
		r = view_make(draft);
	if (r == 0)
		r = map_seek(draft->view, MAP_MEM, off, data, ret_off);
	pthread_mutex_unlock(&draft->lock);
	return r;
}

bool drafts_stat(struct drafts *drafts, uint64_t id, struct draft_stat *ret)
{
	struct draft *draft;
	bool found = false;

	pthread_mutex_lock(&drafts->lock);
	for (draft = drafts->first; draft && draft->id != id;)
		draft = draft->next;
	if (draft)
		draft->handles++;
	pthread_mutex_unlock(&drafts->lock);
	if (!draft)
		return false;
	pthread_mutex_lock(&draft->lock);
	if (draft->may_write && (draft->view || view_make(draft) == 0)) {
		ret->data_pages = draft->view_data;
		ret->changed_ns = draft->changed_ns;
		ret->has_vmstate_bytes = draft->vmstate.loaded;
		ret->vmstate_bytes = draft->vmstate.len;
		found = true;
	}
	pthread_mutex_unlock(&draft->lock);
	draft_put(draft);
	return found;
}

uint64_t draft_version(struct draft *draft)
{
	uint64_t version;

	pthread_mutex_lock(&draft->lock);
	version = draft->row.version;
	pthread_mutex_unlock(&draft->lock);
	return version;
}

bool draft_is_dirty(struct draft *draft)
{
	bool dirty;

	pthread_mutex_lock(&draft->lock);
	dirty = draft_has_unstored(draft);
	pthread_mutex_unlock(&draft->lock);
	return dirty;
}
