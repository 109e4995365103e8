/* SPDX-License-Identifier: Apache-2.0 */
/* What changes the list of snapshots: a name, a note, a removal. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "db/catalog-private.h"
#include "db/catalog.h"
#include "db/discard.h"
#include "db/lock.h"
#include "db/reserve.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

#define CHILDREN_NAMED 3 /* in a message */

int catalog_rename(struct index *index, const char *from, const char *to)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	AUTO_RESET sqlite3_stmt *update = NULL;
	struct snapshot_row row;
	int r = catalog_check_name(to);

	discard_leftovers(index);
	if (r == 0)
		r = transaction_begin(index, TRANSACTION_CATALOG, &open);
	if (r == 0)
		r = catalog_find(index, from, &row);
	if (r == 0 && strcmp(from, to) == 0)
		r = fail_with(-EINVAL, "it has that name already");
	if (r == 0)
		r = catalog_check_free(index, to);
	if (r == 0)
		r = sql_get(index, "UPDATE snapshot SET name = ?1 WHERE id = ?2", &update);
	if (r < 0)
		return r;
	sqlite3_bind_text(update, 1, to, -1, SQLITE_STATIC);
	sql_bind(update, 2, row.id);
	r = sql_run(index, update);
	return r < 0 ? r : transaction_commit(&open);
}

/* The length of the UTF-8 sequence at text, or 0 where it is none. Overlong
 * forms, surrogates and what lies beyond U+10FFFF are none. */
static size_t utf8_length(const unsigned char *text)
{
	size_t len = text[0] < 0x80   ? 1
		     : text[0] < 0xc2 ? 0
		     : text[0] < 0xe0 ? 2
		     : text[0] < 0xf0 ? 3
		     : text[0] < 0xf5 ? 4
				      : 0;

	for (size_t i = 1; i < len; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return len;
}

static int check_note(const char *note)
{
	const unsigned char *text = (const unsigned char *)note;

	if (strlen(note) > SNAPSHOT_NOTE_MAX)
		return fail_with(-EINVAL, "the note is longer than %d bytes", SNAPSHOT_NOTE_MAX);
	while (*text) {
		size_t len = utf8_length(text);

		/* U+0080 to U+009F are controls too, which terminals obey */
		if (len == 0 || iscntrl(*text) || (text[0] == 0xc2 && text[1] < 0xa0))
			return fail_with(-EINVAL,
					 "the note holds a control character or is no "
					 "UTF-8, at byte %td",
					 (const char *)text - note);
		text += len;
	}
	return 0;
}

int catalog_note(struct index *index, const char *name, const char *note)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	AUTO_RESET sqlite3_stmt *update = NULL;
	struct snapshot_row row;
	int r = check_note(note);

	if (r == 0)
		r = transaction_begin(index, TRANSACTION_CATALOG, &open);
	if (r == 0)
		r = catalog_find(index, name, &row);
	if (r == 0)
		r = sql_get(index, "UPDATE snapshot SET note = ?1 WHERE id = ?2", &update);
	if (r < 0)
		return r;
	sqlite3_bind_text(update, 1, note, -1, SQLITE_STATIC);
	sql_bind(update, 2, row.id);
	r = sql_run(index, update);
	return r < 0 ? r : transaction_commit(&open);
}

/* Some of the snapshots that build on it, and how many there are. */
struct children {
	size_t n;
	bool importing; /* the first is */
	char names[CHILDREN_NAMED][SNAPSHOT_NAME_MAX + 1];
};

static int children_find(struct index *index, uint64_t id, struct children *ret)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct children children = {0};
	int r = sql_get(index,
			"SELECT name, state FROM snapshot WHERE parent = ?1 ORDER BY state, id",
			&query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	while ((r = sql_step(index, query)) > 0) {
		if (children.n == 0)
			children.importing = sql_column(query, 1) == SNAPSHOT_IMPORTING;
		if (children.n < CHILDREN_NAMED)
			snprintf(children.names[children.n], sizeof(children.names[0]), "%s",
				 (const char *)sqlite3_column_text(query, 0));
		children.n++;
	}
	if (r == 0)
		*ret = children;
	return r;
}

/* -EBUSY that names children. */
static int check_childless(struct index *index, const struct snapshot_row *row)
{
	struct children children;
	const char(*name)[SNAPSHOT_NAME_MAX + 1] = children.names;
	int r = children_find(index, row->id, &children);

	if (r < 0 || children.n == 0)
		return r;
	if (children.importing)
		return fail_with(-EBUSY, "'%s' is being imported over it: wait for its end",
				 name[0]);
	if (children.n == 1)
		return fail_with(-EBUSY, "'%s' builds on it: remove that first", name[0]);
	if (children.n == 2)
		return fail_with(-EBUSY, "'%s' and '%s' build on it: remove them first", name[0],
				 name[1]);
	if (children.n == 3)
		return fail_with(-EBUSY, "'%s', '%s' and '%s' build on it: remove them first",
				 name[0], name[1], name[2]);
	return fail_with(-EBUSY, "'%s', '%s', '%s' and %zu more build on it: remove them first",
			 name[0], name[1], name[2], children.n - CHILDREN_NAMED);
}

/* With the exclusive lease on the snapshot. */
static int remove_leased(struct index *index, const struct snapshot_row *row)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct snapshot_row again;
	int r = transaction_begin(index, TRANSACTION_CATALOG, &open);

	if (r == 0)
		r = catalog_find_id(index, row->id, &again);
	if (r == 0)
		r = check_childless(index, row);
	if (r == 0)
		r = discard_snapshot(index, row->id);
	return r < 0 ? r : transaction_commit(&open);
}

int catalog_remove(struct index *index, const char *name, bool dry_run)
{
	struct locks *locks = index_store(index)->locks;
	struct children children;
	struct snapshot_row row;
	int r = catalog_find(index, name, &row);

	if (r == 0)
		r = children_find(index, row.id, &children);
	/* an import that was cut off needs nothing, and is no child */
	if (r == 0 && children.importing)
		discard_leftovers(index);
	if (r == 0)
		r = check_childless(index, &row);
	if (r == 0)
		r = locks_take_exclusive(locks, row.id, LOCK_LEASE_WAIT_MS);
	if (r < 0)
		return r;
	if (!dry_run)
		r = remove_leased(index, &row);
	/* a full disk is no reason to be left with a full disk */
	if (r == -ENOSPC && reserve_release(index_store(index)->path))
		r = remove_leased(index, &row);
	locks_drop_lease(locks, row.id);
	if (r == 0 && !dry_run) {
		discard_leftovers(index);
		reserve_make(index_store(index)->path);
	}
	return r;
}
