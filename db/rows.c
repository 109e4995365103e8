/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache is a table of slots, one possible slot a group (its number modulo the
 * table), each slot under one of a few mutexes. A group is read from the index
 * with the mutex of its slot let go, so a slow read hinders nobody.
 *
 * Import lays block behind block, so a group keeps where its rows lie only for those
 * that do not follow the one before: mostly the first, and aliases.
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
#define SLOTS 8192 /* times 0.7 KiB a group, if in order: 5.3 MiB, for 2 GiB of pages */
#define STRIPES 64

struct place {
	uint32_t pack;
	uint32_t offset[2]; /* low and high */
};

struct group {
	uint64_t number; /* first id / GROUP_ROWS */
	uint64_t breaks; /* bit i: row i has a place; else it lies behind row i - 1 */
	uint64_t hashes[GROUP_ROWS];
	struct {
		uint16_t length : 13;
		uint16_t codec : 3;
	} blocks[GROUP_ROWS];
	struct place places[]; /* one a break */
};

_Static_assert(CODECS <= 8 && PAGE_BYTES < 1 << 13, "a block says its length and its codec");

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

static int group_read(struct index *index, uint64_t number, struct page_row rows[GROUP_ROWS])
{
	static const char sql[] = "SELECT id, hash, pack, offset, length FROM page "
				  "WHERE id BETWEEN ?1 AND ?2";
	AUTO_RESET sqlite3_stmt *query = NULL;
	uint64_t first = number * GROUP_ROWS;
	int r = sql_get(index, sql, &query);

	if (r < 0)
		return r;
	memset(rows, 0, GROUP_ROWS * sizeof(*rows));
	sql_bind(query, 1, first);
	sql_bind(query, 2, first + GROUP_ROWS - 1);
	while ((r = sql_step(index, query)) > 0) {
		uint64_t i = sql_column(query, 0) - first;

		/* a damaged b-tree may answer with any id */
		if (i < GROUP_ROWS)
			rows[i] = rows_parse(query, 1);
	}
	return r;
}

static bool is_behind(const struct page_row *row, const struct page_row *before)
{
	return row->length > 0 && before->length > 0 && row->pack == before->pack &&
	       row->offset == before->offset + before->length;
}

/* NULL when out of memory. */
static struct group *group_make(uint64_t number, const struct page_row rows[GROUP_ROWS])
{
	struct group *group;
	uint64_t breaks = 0;
	size_t n = 0;

	for (size_t i = 0; i < GROUP_ROWS; i++)
		if (i == 0 || !is_behind(&rows[i], &rows[i - 1]))
			breaks |= UINT64_C(1) << i;
	group = malloc(sizeof(*group) +
		       (size_t)__builtin_popcountll(breaks) * sizeof(struct place));
	if (!group)
		return NULL;
	group->number = number;
	group->breaks = breaks;
	for (size_t i = 0; i < GROUP_ROWS; i++) {
		group->hashes[i] = rows[i].hash;
		group->blocks[i].length = rows[i].length & 0x1fff;
		group->blocks[i].codec = rows[i].codec & 7;
		if (breaks >> i & 1)
			group->places[n++] = (struct place){
				rows[i].pack,
				{(uint32_t)rows[i].offset, (uint32_t)(rows[i].offset >> 32)}};
	}
	return group;
}

/* count rows of the group, which all are inside it. */
static void group_rows(const struct group *group, size_t from, size_t count, struct page_row *rows)
{
	uint64_t until = group->breaks & (UINT64_MAX >> (GROUP_ROWS - 1 - from));
	const struct place *place = &group->places[__builtin_popcountll(until) - 1];
	uint64_t offset = place->offset[0] | (uint64_t)place->offset[1] << 32;

	for (size_t i = GROUP_ROWS - 1 - (size_t)__builtin_clzll(until); i < from; i++)
		offset += group->blocks[i].length;
	for (size_t i = from; i < from + count; i++) {
		if (i > from && group->breaks >> i & 1) {
			place++;
			offset = place->offset[0] | (uint64_t)place->offset[1] << 32;
		}
		*rows++ = (struct page_row){.hash = group->hashes[i],
					    .offset = offset,
					    .pack = place->pack,
					    .length = group->blocks[i].length,
					    .codec = group->blocks[i].codec};
		offset += group->blocks[i].length;
	}
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
		group_rows(group, from, count, rows);
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
	struct page_row read[GROUP_ROWS];
	struct group *group;
	int r;

	if (!fresh && cache_find(cache, number, from, count, rows) && !has_gap(rows, count))
		return 0;
	index_waits(index);
	r = group_read(index, number, read);
	if (r < 0)
		return r;
	group = group_make(number, read);
	if (!group)
		return fail_with(-ENOMEM, "out of memory");
	memcpy(rows, &read[from], count * sizeof(*rows));
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
