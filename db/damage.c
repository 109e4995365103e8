/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropping:
 *
 *   complete   snapshots that name a damaged page, and all that build on one that is
 *              damaged, are added
 *   lease      all of them, exclusively: what is open keeps everything as it is
 *   remove     one after the other, those that build on others first
 *   attachments of the others
 *   collect    with the rows of damaged pages as garbage, wherever they say they lie
 *   packs      that have pages, but no row in the index, get one
 *
 * Killed in between, the next check finds what is left.
 */
#include "config.h"

#include "db/damage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/catalog.h"
#include "db/damage-private.h"
#include "db/discard.h"
#include "db/gc-private.h"
#include "db/lock.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

struct span {
	uint64_t first;
	uint64_t last;
};

struct bad_attachment {
	uint64_t snapshot;
	const char *name; /* borrowed literal */
};

struct damage {
	bool index;
	uint64_t *snapshots; /* owned; sorted */
	size_t nsnapshots;
	struct span *pages; /* owned; sorted, apart from each other */
	size_t npages;
	struct bad_attachment *attachments; /* owned */
	size_t nattachments;
};

int damage_new(struct damage **ret)
{
	struct damage *damage = calloc(1, sizeof(*damage));

	if (!damage)
		return fail_with(-ENOMEM, "out of memory");
	*ret = damage;
	return 0;
}

void damage_free(struct damage *damage)
{
	if (!damage)
		return;
	free(damage->snapshots);
	free(damage->pages);
	free(damage->attachments);
	free(damage);
}

/* Room for one more: lists grow to powers of two. NULL when out of memory. */
static void *grow(void *list, size_t n, size_t size)
{
	if (n & (n - 1))
		return list;
	return reallocarray(list, n ? 2 * n : 1, size);
}

void damage_add_index(struct damage *damage)
{
	if (damage)
		damage->index = true;
}

/* The place of the first one that is not below id. */
static size_t snapshot_place(const struct damage *damage, uint64_t id)
{
	size_t i = damage->nsnapshots;

	while (i > 0 && damage->snapshots[i - 1] >= id)
		i--;
	return i;
}

static bool has_snapshot(const struct damage *damage, uint64_t id)
{
	size_t i = snapshot_place(damage, id);

	return i < damage->nsnapshots && damage->snapshots[i] == id;
}

int damage_add_snapshot(struct damage *damage, uint64_t id)
{
	uint64_t *list;
	size_t i;

	if (!damage || has_snapshot(damage, id))
		return 0;
	list = grow(damage->snapshots, damage->nsnapshots, sizeof(*list));
	if (!list)
		return fail_with(-ENOMEM, "out of memory");
	damage->snapshots = list;
	i = snapshot_place(damage, id);
	memmove(list + i + 1, list + i, (damage->nsnapshots - i) * sizeof(*list));
	list[i] = id;
	damage->nsnapshots++;
	return 0;
}

int damage_add_page(struct damage *damage, uint64_t id)
{
	struct span *list;

	if (!damage)
		return 0;
	if (damage->npages > 0 && damage->pages[damage->npages - 1].last + 1 == id) {
		damage->pages[damage->npages - 1].last = id;
		return 0;
	}
	list = grow(damage->pages, damage->npages, sizeof(*list));
	if (!list)
		return fail_with(-ENOMEM, "out of memory");
	damage->pages = list;
	list[damage->npages++] = (struct span){id, id};
	return 0;
}

int damage_add_attachment(struct damage *damage, uint64_t snapshot, const char *name)
{
	struct bad_attachment *list;

	if (!damage)
		return 0;
	list = grow(damage->attachments, damage->nattachments, sizeof(*list));
	if (!list)
		return fail_with(-ENOMEM, "out of memory");
	damage->attachments = list;
	list[damage->nattachments++] = (struct bad_attachment){snapshot, name};
	return 0;
}

/* The first span that ends at id or behind it. */
static const struct span *span_from(const struct damage *damage, uint64_t id)
{
	size_t low = 0;
	size_t high = damage->npages;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (damage->pages[middle].last < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < damage->npages ? &damage->pages[low] : NULL;
}

bool damage_has_page(const struct damage *damage, uint64_t id)
{
	const struct span *span = span_from(damage, id);

	return span && span->first <= id;
}

/* Who names a damaged page: all extents are read. */
static int add_who_needs_pages(struct damage *damage, struct index *index)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, "SELECT snapshot, page, count FROM extent WHERE page IS NOT NULL",
			&query);

	while (r >= 0 && damage->npages > 0 && (r = sql_step(index, query)) > 0) {
		uint64_t page = sql_column(query, 1);
		const struct span *span = span_from(damage, page);

		if (span && span->first < page + sql_column(query, 2))
			r = damage_add_snapshot(damage, sql_column(query, 0));
	}
	return MIN(r, 0);
}

/* Until there are no more: a child comes after its parent, but for damaged ids. */
static int add_children(struct damage *damage, struct index *index)
{
	size_t before;

	do {
		AUTO_RESET sqlite3_stmt *query = NULL;
		int r = sql_get(index,
				"SELECT id, parent FROM snapshot WHERE parent IS NOT NULL "
				"ORDER BY id",
				&query);

		before = damage->nsnapshots;
		while (r >= 0 && (r = sql_step(index, query)) > 0)
			if (has_snapshot(damage, sql_column(query, 1)))
				r = damage_add_snapshot(damage, sql_column(query, 0));
		if (r < 0)
			return r;
	} while (damage->nsnapshots > before);
	return 0;
}

/* Its name, or its id where that is damaged too. */
static void name_find(struct index *index, uint64_t id, char *name, size_t room)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	const char *text = NULL;

	if (sql_get(index, "SELECT name FROM snapshot WHERE id = ?1", &query) == 0) {
		sql_bind(query, 1, id);
		if (sql_step(index, query) > 0)
			text = (const char *)sqlite3_column_text(query, 0);
	}
	if (text && catalog_check_name(text) == 0)
		snprintf(name, room, "%s", text);
	else
		snprintf(name, room, "%" PRIu64, id);
}

/* All of them or none; *ret_n says how many. */
static int leases_take(struct damage *damage, struct index *index, size_t *ret_n)
{
	struct locks *locks = index_store(index)->locks;
	char name[SNAPSHOT_NAME_MAX + 32];

	*ret_n = 0;
	for (size_t i = 0; i < damage->nsnapshots; i++) {
		int r = locks_take_exclusive(locks, damage->snapshots[i], LOCK_LEASE_WAIT_MS);

		if (r < 0) {
			name_find(index, damage->snapshots[i], name, sizeof(name));
			return fail_prefix(r, "nothing is dropped: %s", name);
		}
		(*ret_n)++;
	}
	return 0;
}

/* What builds on it is in the list too; but a fork takes no lease of its parent, so there
 * may be one more by now. */
static int no_child_else(const struct damage *damage, struct index *index, uint64_t id)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, "SELECT id FROM snapshot WHERE parent = ?1", &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	while ((r = sql_step(index, query)) > 0)
		if (!has_snapshot(damage, sql_column(query, 0)))
			return fail_with(-EBUSY, "a snapshot was made of one that is damaged "
						 "meanwhile: check again");
	return r;
}

static int remove_one(const struct damage *damage, struct index *index, uint64_t id)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int r = transaction_begin(index, TRANSACTION_CATALOG, &open);

	if (r == 0)
		r = no_child_else(damage, index, id);
	if (r == 0)
		r = discard_snapshot(index, id);
	return r < 0 ? r : transaction_commit(&open);
}

static int remove_all(struct damage *damage, struct index *index, struct damage_report *report)
{
	char name[SNAPSHOT_NAME_MAX + 32];
	int r = 0;

	for (size_t i = damage->nsnapshots; r == 0 && i > 0; i--) {
		name_find(index, damage->snapshots[i - 1], name, sizeof(name));
		r = remove_one(damage, index, damage->snapshots[i - 1]);
		if (r < 0)
			return r;
		report->snapshots++;
		report->dropped(report->context, name, "");
	}
	return 0;
}

static int remove_attachment(struct index *index, const struct bad_attachment *attachment)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	AUTO_RESET sqlite3_stmt *drop = NULL;
	int r = transaction_begin(index, TRANSACTION_CATALOG, &open);

	if (r == 0)
		r = sql_get(index, "DELETE FROM attachment WHERE snapshot = ?1 AND name = ?2",
			    &drop);
	if (r < 0)
		return r;
	sql_bind(drop, 1, attachment->snapshot);
	sqlite3_bind_text(drop, 2, attachment->name, -1, SQLITE_STATIC);
	r = sql_run(index, drop);
	return r < 0 ? r : transaction_commit(&open);
}

static int remove_attachments(struct damage *damage, struct index *index,
			      struct damage_report *report)
{
	char name[SNAPSHOT_NAME_MAX + 32];
	int r = 0;

	for (size_t i = 0; r == 0 && i < damage->nattachments; i++) {
		const struct bad_attachment *attachment = &damage->attachments[i];

		if (has_snapshot(damage, attachment->snapshot))
			continue;
		name_find(index, attachment->snapshot, name, sizeof(name));
		r = remove_attachment(index, attachment);
		if (r < 0)
			return r;
		report->attachments++;
		report->dropped(report->context, name, attachment->name);
	}
	return r;
}

static int collect(struct damage *damage, struct index *index, struct damage_report *report)
{
	struct gc_report collected;
	int r = gc_run_damaged(index, damage, &collected);

	report->pages = collected.pages;
	report->packs = collected.packs;
	report->bytes = collected.bytes;
	return r;
}

/* Packs with pages and without a row get one: imports may share their pages again. */
static int know_packs(struct index *index)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int64_t unknown = 0;
	int r = sql_number(index,
			   "SELECT count(*) FROM (SELECT DISTINCT pack FROM page EXCEPT "
			   "SELECT id FROM pack)",
			   0, &unknown);

	if (r < 0 || unknown == 0)
		return r;
	r = transaction_begin(index, TRANSACTION_CATALOG, &open);
	if (r == 0)
		r = sql_do(index, "INSERT INTO pack (id, maker) SELECT DISTINCT pack, 0 FROM page "
				  "WHERE pack NOT IN (SELECT id FROM pack)");
	return r < 0 ? r : transaction_commit(&open);
}

int damage_drop(struct index *index, struct damage *damage, struct damage_report *report)
{
	size_t nleases = 0;
	int r;

	if (damage->index)
		return fail_with(-EBADMSG,
				 "index.db itself is damaged, nothing is dropped: 'pagoda copy' "
				 "what is whole to another store, or put a copy of this one back");
	r = add_who_needs_pages(damage, index);
	if (r == 0)
		r = add_children(damage, index);
	if (r == 0)
		r = leases_take(damage, index, &nleases);
	if (r == 0)
		r = remove_all(damage, index, report);
	for (size_t i = 0; i < nleases; i++)
		locks_drop_lease(index_store(index)->locks, damage->snapshots[i]);
	if (r == 0)
		r = remove_attachments(damage, index, report);
	if (r == 0 && (damage->npages > 0 || damage->nsnapshots > 0))
		r = collect(damage, index, report);
	return r < 0 ? r : know_packs(index);
}
