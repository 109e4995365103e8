/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/digest.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fail.h"
#include "db/page.h"
#include "db/sql.h"
#include "db/store.h"

#define ENTRY_BYTES 9
#define BUFFER_ENTRIES 1024
#ifndef LOOKUP_PAGES /* a test has less, so that it takes several rounds */
#define LOOKUP_PAGES 8192
#endif
#define GAP_ROWS 8 /* so many rows are stepped over sooner than another query is begun */

static const uint8_t kind_bytes[] = {[RUN_ZERO] = 0, [RUN_DATA] = 1, [RUN_ABSENT] = 2};

/* Stored pages with consecutive ids, and where their hashes go. */
struct stretch {
	uint64_t id;
	uint32_t count;
	uint32_t at;
};

/* Hashes of some stored pages in the order of the map, looked up in that of their ids:
 * a map of many layers has a run for every few pages, and a query for each of those
 * took longer than its rows. */
struct lookup {
	size_t nstretches;
	size_t npages;
	struct stretch stretches[LOOKUP_PAGES];
	uint64_t hashes[LOOKUP_PAGES];
};

struct digest {
	XXH3_state_t *state;   /* owned */
	struct lookup *lookup; /* owned; NULL until it is needed */
	size_t used;	       /* entries in the buffer */
	uint8_t buffer[BUFFER_ENTRIES * ENTRY_BYTES];
};

int digest_new(struct digest **ret)
{
	AUTO(digest_free_at) struct digest *digest = calloc(1, sizeof(*digest));

	if (digest)
		digest->state = XXH3_createState();
	if (!digest || !digest->state)
		return fail_with(-ENOMEM, "out of memory");
	XXH3_128bits_reset(digest->state);
	*ret = TAKE_PTR(digest);
	return 0;
}

void digest_free(struct digest *digest)
{
	if (!digest)
		return;
	XXH3_freeState(digest->state);
	free(digest->lookup);
	free(digest);
}

static void flush(struct digest *digest)
{
	XXH3_128bits_update(digest->state, digest->buffer, digest->used * ENTRY_BYTES);
	digest->used = 0;
}

static void add(struct digest *digest, enum run_kind kind, uint64_t hash)
{
	uint8_t *entry = digest->buffer + digest->used * ENTRY_BYTES;

	hash = htole64(hash);
	entry[0] = kind_bytes[kind];
	memcpy(entry + 1, &hash, sizeof(hash));
	if (++digest->used == BUFFER_ENTRIES)
		flush(digest);
}

void digest_add_run(struct digest *digest, enum run_kind kind, uint64_t count)
{
	while (count > 0 && digest->used > 0) {
		add(digest, kind, 0);
		count--;
	}
	if (count >= BUFFER_ENTRIES) { /* a hole of terabytes: the same block over and over */
		memset(digest->buffer, 0, sizeof(digest->buffer));
		for (size_t i = 0; i < BUFFER_ENTRIES; i++)
			digest->buffer[i * ENTRY_BYTES] = kind_bytes[kind];
	}
	for (; count >= BUFFER_ENTRIES; count -= BUFFER_ENTRIES)
		XXH3_128bits_update(digest->state, digest->buffer, sizeof(digest->buffer));
	for (; count > 0; count--)
		add(digest, kind, 0);
}

void digest_add_data(struct digest *digest, uint64_t hash)
{
	add(digest, RUN_DATA, hash);
}

void digest_finish(struct digest *digest, uint64_t size, uint8_t result[DIGEST_BYTES])
{
	uint64_t tail[2] = {htole64(size), htole64(PAGE_BYTES)};
	XXH128_canonical_t canonical;

	flush(digest);
	XXH3_128bits_update(digest->state, tail, sizeof(tail));
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(digest->state));
	memcpy(result, &canonical, DIGEST_BYTES);
}

static int by_id(const void *a, const void *b)
{
	const struct stretch *x = a;
	const struct stretch *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* How many stretches from the first on are read by one query. */
static size_t cluster_find(const struct stretch *stretches, size_t n)
{
	size_t i = 1;

	for (; i < n; i++) {
		uint64_t end = stretches[i - 1].id + stretches[i - 1].count;

		if (stretches[i].id < end || stretches[i].id - end > GAP_ROWS)
			break;
	}
	return i;
}

/* All pages of n stretches in order of their ids, which must be there. */
static int cluster_read(struct index *index, const struct stretch *stretch, size_t n,
			uint64_t *hashes)
{
	static const char sql[] = "SELECT id, hash FROM page WHERE id BETWEEN ?1 AND ?2 "
				  "ORDER BY id";
	AUTO_RESET sqlite3_stmt *query = NULL;
	const struct stretch *end = stretch + n;
	uint32_t done = 0;
	uint64_t last = 0;
	int r = sql_get(index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, stretch->id);
	sql_bind(query, 2, end[-1].id + end[-1].count - 1);
	while (stretch < end && (r = sql_step(index, query)) > 0) {
		uint64_t id = sql_column(query, 0);

		/* a damaged b-tree may come back to where it was, for ever */
		if (id > stretch->id + done || id <= last)
			break;
		last = id;
		if (id < stretch->id + done) /* of a gap */
			continue;
		hashes[stretch->at + done] = sql_column(query, 1);
		if (++done == stretch->count) {
			stretch++;
			done = 0;
		}
	}
	if (r < 0)
		return r;
	if (stretch < end)
		return fail_with(-EBADMSG, "page row %" PRIu64 " is missing", stretch->id + done);
	return 0;
}

static int lookup_read(struct lookup *lookup, struct index *index)
{
	struct stretch *stretches = lookup->stretches;
	size_t n;
	int r = 0;

	qsort(stretches, lookup->nstretches, sizeof(*stretches), by_id);
	for (size_t i = 0; r == 0 && i < lookup->nstretches; i += n) {
		n = cluster_find(&stretches[i], lookup->nstretches - i);
		r = cluster_read(index, &stretches[i], n, lookup->hashes);
	}
	return r;
}

/* A walk along a map, from page at to page end. */
struct walk {
	const struct map *map;
	size_t run;
	uint64_t at;
	uint64_t end;
};

/* The next part of one run, of at most so many pages. */
static struct run walk_next(struct walk *walk, uint64_t most, uint64_t *ret_count)
{
	struct run run = map_run(walk->map, walk->run);
	uint64_t run_end = map_run_end(walk->map, walk->run);

	uint64_t until = MIN(run_end, walk->end);

	*ret_count = MIN(most, until - walk->at);
	if (run.kind == RUN_DATA)
		run.page += walk->at - run.first;
	run.first = walk->at;
	walk->at += *ret_count;
	walk->run += walk->at == run_end;
	return run;
}

static bool walk_is_at_data(const struct walk *walk)
{
	return map_run_kind(walk->map, walk->run) == RUN_DATA;
}

/* Notes stored pages from the walk on, as many as there is room for; the walk then is
 * behind them. */
static void lookup_note(struct lookup *lookup, struct walk *walk)
{
	lookup->nstretches = lookup->npages = 0;
	while (walk->at < walk->end && (lookup->npages < LOOKUP_PAGES || !walk_is_at_data(walk))) {
		bool data = walk_is_at_data(walk);
		uint64_t n;
		struct run run =
			walk_next(walk, data ? LOOKUP_PAGES - lookup->npages : UINT64_MAX, &n);

		if (!data)
			continue;
		lookup->stretches[lookup->nstretches++] =
			(struct stretch){run.page, (uint32_t)n, (uint32_t)lookup->npages};
		lookup->npages += n;
	}
}

/* Adds the same part of the map, with the hashes that were looked up. */
static void lookup_add(const struct lookup *lookup, struct digest *digest, struct walk *walk)
{
	const uint64_t *hash = lookup->hashes;

	while (walk->at < walk->end) {
		uint64_t n;
		struct run run = walk_next(walk, UINT64_MAX, &n);

		if (run.kind != RUN_DATA)
			digest_add_run(digest, run.kind, n);
		for (uint64_t i = 0; run.kind == RUN_DATA && i < n; i++)
			add(digest, RUN_DATA, *hash++);
	}
}

static int add_runs(struct digest *digest, struct index *index, const struct map *map,
		    uint64_t first, uint64_t count, uint64_t *data)
{
	struct walk ahead = {map, map_find(map, first), first, first + count};
	int r = 0;

	while (r == 0 && ahead.at < ahead.end) {
		struct walk walk = ahead;

		lookup_note(digest->lookup, &ahead);
		walk.end = ahead.at;
		r = lookup_read(digest->lookup, index);
		if (r == 0)
			lookup_add(digest->lookup, digest, &walk);
		*data += digest->lookup->npages;
	}
	return r;
}

int digest_add_map(struct digest *digest, struct index *index, const struct map *map,
		   uint64_t first, uint64_t count, uint64_t *data)
{
	bool begun;
	int r;

	if (count == 0)
		return 0;
	if (!digest->lookup)
		digest->lookup = malloc(sizeof(*digest->lookup));
	if (!digest->lookup)
		return fail_with(-ENOMEM, "out of memory");
	/* many layers make many runs, and locks cost more than the rows of one */
	r = sql_read_begin(index, &begun);
	if (r < 0)
		return r;
	r = add_runs(digest, index, map, first, count, data);
	sql_read_end(index, begun);
	return r;
}

int digest_map(struct index *index, const struct map *map, uint8_t result[DIGEST_BYTES],
	       uint64_t *ret_data)
{
	AUTO(digest_free_at) struct digest *digest = NULL;
	uint64_t data = 0;
	int r = digest_new(&digest);

	if (r == 0)
		r = digest_add_map(digest, index, map, 0, map->npages, &data);
	if (r < 0)
		return r;
	digest_finish(digest, map->npages * PAGE_BYTES, result);
	*ret_data = data;
	return 0;
}
