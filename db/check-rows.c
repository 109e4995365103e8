/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "db/check-private.h"
#include "db/damage-private.h"
#include "db/pack.h"
#include "db/pages-private.h"
#include "db/rows.h"
#include "db/sql.h"
#include "db/store-private.h"

#define BATCH_ROWS 1024

/* Opens a pack for its header and size, when rows of it first come up. */
static int pack_look(struct check *check, uint32_t number, struct pack_state **ret)
{
	struct pack_state *state = &check->packs[number % CHECK_PACK_SLOTS];
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	*ret = state;
	if (state->number == number)
		return 0;
	*state = (struct pack_state){.number = number};
	r = pack_open(index_store(check->index), number, &fd);
	if (r == -ENOENT)
		r = fail_with(-EBADMSG, "pack %" PRIu32 " is missing", number);
	if (r == -EBADMSG) {
		snprintf(state->text, sizeof(state->text), "%s", fail_text(r));
		return 0;
	}
	if (r == 0 && fstat(fd, &st) < 0)
		r = fail_with(-errno, "pack %" PRIu32 ": %s", number, strerror(errno));
	if (r == 0)
		state->size = (uint64_t)st.st_size;
	return r;
}

/* A page is best named by where a guest has it. */
static int place_find(struct check *check, uint64_t id, struct check_place *ret)
{
	static const char sql[] =
		"SELECT s.name, e.first + ?1 - e.page FROM extent e JOIN snapshot s "
		"ON s.id = e.snapshot WHERE e.page <= ?1 AND e.page + e.count > ?1 "
		"AND s.state != 0 LIMIT 1";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(check->index, sql, &query);

	*ret = (struct check_place){.row = id};
	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	r = sql_step(check->index, query);
	if (r > 0) {
		const char *name = (const char *)sqlite3_column_text(query, 0);

		snprintf(ret->snapshot, sizeof(ret->snapshot), "%s", name ? name : "");
		ret->pgno = sql_column(query, 1);
	}
	return MIN(r, 0);
}

static void tell_run(struct check *check)
{
	char text[FAIL_TEXT_MAX];

	if (check->run.count == 0)
		return;
	check_run_text(&check->run, text);
	check_found(check, check->run.first.snapshot, "%s", text);
	check->run.count = 0;
}

static int found_page(struct check *check, uint64_t id, const char *what)
{
	struct check_place place;
	int r = place_find(check, id, &place);

	if (r < 0 || check_run_add(&check->run, &place, what))
		return r;
	tell_run(check);
	(void)!check_run_add(&check->run, &place, what); /* an empty one takes it */
	return 0;
}

/* splitmix64: a sample that is the same for the same seed. */
static bool is_sampled(const struct check_request *request, uint64_t id)
{
	uint64_t x = id + request->seed * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (x ^ (x >> 31)) % 100 < request->read_percent;
}

/* Does the row still say so, and does anybody count on it? */
static int still_counts(struct check *check, uint64_t id, const struct page_row *row, bool *ret)
{
	static const char sql[] =
		"SELECT hash, pack, offset, length, "
		"coalesce((SELECT doomed FROM pack WHERE id = page.pack), 0) AND NOT EXISTS "
		"(SELECT 1 FROM extent WHERE page <= ?1 AND page + count > ?1) "
		"FROM page WHERE id = ?1";
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct page_row again;
	int r = sql_get(check->index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	r = sql_step(check->index, query);
	*ret = false;
	if (r <= 0)
		return r;
	again = rows_parse(query, 0);
	*ret = memcmp(&again, row, sizeof(again)) == 0 && !sql_column(query, 4);
	return 0;
}

/* What is wrong with the row: 0 and "" for nothing, or words in text. */
static int row_prove(struct check *check, uint64_t id, const struct page_row *row,
		     struct pack_state **ret_pack, char text[FAIL_TEXT_MAX])
{
	char plain[PAGE_BYTES];
	int r;

	text[0] = '\0';
	if (row->length == 0) {
		snprintf(text, FAIL_TEXT_MAX, "its row in the index is damaged");
		return 0;
	}
	r = pack_look(check, row->pack, ret_pack);
	if (r < 0)
		return r;
	if ((*ret_pack)->size == 0) {
		snprintf(text, FAIL_TEXT_MAX, "%s", (*ret_pack)->text);
		return 0;
	}
	if (row->offset + row->length > (*ret_pack)->size) {
		snprintf(text, FAIL_TEXT_MAX, "pack %" PRIu32 " is cut short at byte %" PRIu64,
			 row->pack, (*ret_pack)->size);
		return 0;
	}
	if (!is_sampled(check->request, id))
		return 0;
	check->report.pages_read++;
	progress_add(check->request->progress, PAGE_BYTES);
	r = pages_load(check->pages, row, plain);
	if (r == -EBADMSG || r == -ENOENT)
		fail_copy(r, text);
	else if (r < 0)
		return r;
	return 0;
}

static int check_row(struct check *check, uint64_t id, const struct page_row *row)
{
	struct pack_state *pack = NULL;
	char text[FAIL_TEXT_MAX];
	bool counts = false;
	int r = row_prove(check, id, row, &pack, text);

	check->report.pages++;
	if (r == 0 && text[0])
		r = still_counts(check, id, row, &counts);
	if (r < 0 || !counts)
		return r;
	r = damage_add_page(check->request->damage, id);
	if (r < 0)
		return r;
	if (!pack || pack->size > 0)
		return found_page(check, id, text);
	if (!pack->is_told) /* once for all the pages of it */
		check_found(check, "", "%s", text);
	pack->is_told = true;
	return 0;
}

struct listed {
	size_t n;
	uint64_t ids[BATCH_ROWS];
	struct page_row rows[BATCH_ROWS];
};

/* In batches, so that no read transaction lasts while packs are read. */
static int rows_fetch(struct check *check, uint64_t after, struct listed *listed)
{
	static const char sql[] =
		"SELECT id, hash, pack, offset, length FROM page WHERE id > ?1 "
		"AND NOT coalesce((SELECT doomed FROM pack WHERE id = page.pack), 0) "
		"ORDER BY id LIMIT ?2";
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(check->index, sql, &query);

	listed->n = 0;
	if (r < 0)
		return r;
	sql_bind(query, 1, after);
	sql_bind(query, 2, BATCH_ROWS);
	while ((r = sql_step(check->index, query)) > 0) {
		uint64_t id = sql_column(query, 0);

		/* a damaged b-tree may come back to where it was, for ever */
		if (id <= after)
			return fail_with(-EBADMSG,
					 "index.db: page row %" PRIu64 " comes after row %" PRIu64
					 ": the rows behind it are not looked at",
					 id, after);
		after = id;
		listed->ids[listed->n] = id;
		listed->rows[listed->n++] = rows_parse(query, 1);
	}
	return r;
}

int check_rows(struct check *check)
{
	AUTO_FREE struct listed *listed = malloc(sizeof(*listed));
	uint64_t after = 0;
	int r = listed ? 0 : fail_with(-ENOMEM, "out of memory");

	do {
		if (r == 0)
			r = rows_fetch(check, after, listed);
		for (size_t i = 0; r == 0 && i < listed->n; i++)
			r = check_row(check, listed->ids[i], &listed->rows[i]);
		if (r == 0 && listed->n > 0)
			after = listed->ids[listed->n - 1];
	} while (r == 0 && listed->n > 0);
	tell_run(check);
	return check_found_in_index(check, r);
}
