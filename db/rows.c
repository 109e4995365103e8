/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache is a table of slots, one possible slot a group (its number modulo the
 * table), each slot under one of a few mutexes. A group is read from the index
 * with the mutex of its slot let go, so a slow read hinders nobody.
 */
#include "config.h"

#include "db/rows.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/sql.h"
#include "db/store-private.h"

#define GROUP_ROWS 64
#define SLOTS 8192 /* times 1.5 KiB a group: 12 MiB at the most, for 2 GiB of pages */
#define STRIPES 64

struct group {
	uint64_t number; /* first id / GROUP_ROWS */
	struct page_row rows[GROUP_ROWS];
};

struct row_cache {
	struct group *slots[SLOTS];	  /* owned; slot i protected by stripes[i % STRIPES] */
	pthread_mutex_t stripes[STRIPES]; /* never two at once */
};

int row_cache_new(struct row_cache **ret)
{
	struct row_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return fail_with(-ENOMEM, "out of memory");
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_init(&cache->stripes[i], NULL);
	*ret = cache;
	return 0;
}

void row_cache_free(struct row_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		free(cache->slots[i]);
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&cache->stripes[i]);
	free(cache);
}

struct page_row rows_parse(sqlite3_stmt *query, int column)
{
	struct page_row row = {.hash = sql_column(query, column),
			       .offset = sql_column(query, column + 2)};
	uint64_t pack = sql_column(query, column + 1);
	uint64_t length = sql_column(query, column + 3);

	row.pack = pack <= UINT32_MAX ? (uint32_t)pack : 0;
	row.length = length <= UINT32_MAX ? (uint16_t)length : 0;
	row.codec = (uint16_t)(length >> 16);
	if (!page_row_is_sane(&row))
		row.length = 0;
	return row;
}

static int group_read(struct index *index, struct group *group)
{
	static const char sql[] = "SELECT id, hash, pack, offset, length FROM page "
				  "WHERE id BETWEEN ?1 AND ?2";
	AUTO_RESET sqlite3_stmt *query = NULL;
	uint64_t first = group->number * GROUP_ROWS;
	int r = sql_get(index, sql, &query);

	if (r < 0)
		return r;
	memset(group->rows, 0, sizeof(group->rows));
	sql_bind(query, 1, first);
	sql_bind(query, 2, first + GROUP_ROWS - 1);
	while ((r = sql_step(index, query)) > 0) {
		uint64_t i = sql_column(query, 0) - first;

		/* a damaged b-tree may answer with any id */
		if (i < GROUP_ROWS)
			group->rows[i] = rows_parse(query, 1);
	}
	return r;
}

static pthread_mutex_t *stripe_of(struct row_cache *cache, uint64_t number)
{
	return &cache->stripes[number % SLOTS % STRIPES];
}

/* Copies rows from the cache; false where the group is not in it. */
static bool cache_find(struct row_cache *cache, uint64_t number, size_t from, size_t count,
		       struct page_row *rows)
{
	pthread_mutex_t *stripe = stripe_of(cache, number);
	const struct group *group;
	bool found;

	pthread_mutex_lock(stripe);
	group = cache->slots[number % SLOTS];
	found = group && group->number == number;
	if (found)
		memcpy(rows, &group->rows[from], count * sizeof(*rows));
	pthread_mutex_unlock(stripe);
	return found;
}

/* Takes ownership of group. */
static void cache_put(struct row_cache *cache, struct group *group)
{
	pthread_mutex_t *stripe = stripe_of(cache, group->number);
	struct group *former;

	pthread_mutex_lock(stripe);
	former = cache->slots[group->number % SLOTS];
	cache->slots[group->number % SLOTS] = group;
	pthread_mutex_unlock(stripe);
	free(former);
}

/* Rows are added behind the last one: a group that was read then has gaps. */
static bool has_gap(const struct page_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].length == 0)
			return true;
	return false;
}

static int group_get(struct index *index, uint64_t number, size_t from, size_t count, bool fresh,
		     struct page_row *rows)
{
	struct row_cache *cache = index_store(index)->row_cache;
	struct group *group;
	int r;

	if (!fresh && cache_find(cache, number, from, count, rows) && !has_gap(rows, count))
		return 0;
	group = malloc(sizeof(*group));
	if (!group)
		return fail_with(-ENOMEM, "out of memory");
	group->number = number;
	r = group_read(index, group);
	if (r < 0) {
		free(group);
		return r;
	}
	memcpy(rows, &group->rows[from], count * sizeof(*rows));
	cache_put(cache, group);
	return 0;
}

int rows_get(struct index *index, uint64_t first, size_t count, bool fresh, struct page_row *rows)
{
	while (count > 0) {
		size_t from = first % GROUP_ROWS;
		size_t n = MIN(count, GROUP_ROWS - from);
		int r = group_get(index, first / GROUP_ROWS, from, n, fresh, rows);

		if (r < 0)
			return r;
		first += n;
		rows += n;
		count -= n;
	}
	return 0;
}
