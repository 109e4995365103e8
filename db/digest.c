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

static const uint8_t kind_bytes[] = {[RUN_ZERO] = 0, [RUN_DATA] = 1, [RUN_ABSENT] = 2};

struct digest {
	XXH3_state_t *state; /* owned */
	size_t used;	     /* entries in the buffer */
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

/* All count pages from id on, which must be there, one after the other. */
static int add_stored(struct index *index, struct digest *digest, uint64_t id, uint64_t count)
{
	static const char sql[] = "SELECT id, hash FROM page WHERE id BETWEEN ?1 AND ?2 "
				  "ORDER BY id";
	AUTO_RESET sqlite3_stmt *query = NULL;
	uint64_t next = id;
	int r = sql_get(index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	sql_bind(query, 2, id + count - 1);
	while ((r = sql_step(index, query)) > 0 && sql_column(query, 0) == next) {
		add(digest, RUN_DATA, sql_column(query, 1));
		next++;
	}
	if (r < 0)
		return r;
	if (next != id + count)
		return fail_with(-EBADMSG, "page row %" PRIu64 " is missing", next);
	return 0;
}

static int add_runs(struct digest *digest, struct index *index, const struct map *map,
		    uint64_t first, uint64_t count, uint64_t *data)
{
	uint64_t end = first + count;
	int r = 0;

	for (size_t i = map_find(map, first); r == 0 && first < end; i++) {
		const struct run run = map_run(map, i);
		uint64_t n = MIN(map_run_end(map, i), end) - first;

		if (run.kind == RUN_DATA) {
			*data += n;
			r = add_stored(index, digest, run.page + (first - run.first), n);
		} else {
			digest_add_run(digest, run.kind, n);
		}
		first += n;
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
