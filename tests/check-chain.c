/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of layers: many, and damaged ones.
 */
#include "config.h"

#include <errno.h>
#include <time.h>

#include "db/check.h"
#include "db/digest.h"
#include "db/resolve.h"
#include "db/sql.h"
#include "tests/layer-fixture.h"
#include "tests/unit.h"

/* Ids: 1 the base, 2 and 3 layers over it. Each edit keeps the index well-formed, and
 * most of them the merged image too. */
static const char *const damaging[] = {
	/* what the layer has, it has not, and the other way round */
	"DELETE FROM extent WHERE snapshot = 2 AND first = (SELECT min(first) FROM extent WHERE "
	"snapshot = 2)",
	"UPDATE extent SET page = NULL WHERE snapshot = 2 AND first = (SELECT min(first) FROM "
	"extent WHERE snapshot = 2 AND page IS NOT NULL)",
	"DELETE FROM extent WHERE snapshot = 3",
	/* only the digest of the layer tells: the parent has the same there */
	"INSERT INTO extent SELECT 3, 0, 1, page FROM extent WHERE snapshot = 1 AND first = 0",
	/* another parent */
	"UPDATE snapshot SET parent = 1 WHERE id = 3",
	"UPDATE snapshot SET parent = NULL WHERE id = 3",
	"UPDATE snapshot SET parent = NULL WHERE id = 2",
	/* what the row says of itself */
	"UPDATE snapshot SET layer_digest = digest WHERE id = 3",
	"UPDATE snapshot SET digest = layer_digest WHERE id = 3",
	"UPDATE snapshot SET digest = (SELECT digest FROM snapshot WHERE id = 2) WHERE id = 3",
	"UPDATE snapshot SET layer_zero = layer_zero - 1 WHERE id = 3",
	"UPDATE snapshot SET layer_data = layer_data + 1 WHERE id = 3",
	"UPDATE snapshot SET data_pages = data_pages - 1 WHERE id = 3",
};

static void count_finding(void *context, const char *snapshot, const char *what)
{
	(void)snapshot;
	(void)what;
	++*(int *)context;
}

START_TEST(layers_that_say_something_else_are_refused)
{
	char *images[3];
	char *first;

	images[0] = fixture_image(NPAGES, 150);
	images[1] = changed_image(images[0], 151);
	images[2] = changed_image(images[1], 152);
	/* page 0 is data, alone, and of the base */
	first = images[0];
	memset(first, 1, PAGE_BYTES);
	memset(first + PAGE_BYTES, 0, PAGE_BYTES);
	memcpy(images[1], first, 2 * PAGE_BYTES);
	memcpy(images[2], first, 2 * PAGE_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(damaging); i++) {
		int findings = 0;
		struct check_request request = {.found = count_finding, .context = &findings};
		struct check_report report;
		struct snapshot_row row;
		int r;

		fixture_setup();
		fixture_import("base", images[0], NPAGES);
		CK_OK(import_over("one", fixture_file(images[1], NPAGES, true), "base", false,
				  &row));
		CK_OK(import_over("two", fixture_file(images[2], NPAGES, true), "one", false,
				  &row));
		CK_OK(fixture_compare("two", images[2], NPAGES));
		ck_assert_int_eq(
			sqlite3_exec(index_db(fixture_index), damaging[i], NULL, NULL, NULL),
			SQLITE_OK);
		ck_assert_int_eq(sqlite3_changes(index_db(fixture_index)) > 0, 1);
		fixture_close();
		fixture_open();
		r = fixture_compare("two", images[2], NPAGES);
		ck_assert_msg(r == -EBADMSG, "%s: %d", damaging[i], r);
		CK_OK(check_store(fixture_index, &request, &report));
		ck_assert_msg(findings > 0, "%s: check finds nothing", damaging[i]);
		fixture_teardown();
	}
	for (size_t i = 0; i < ARRAY_SIZE(images); i++)
		munmap(images[i], BYTES);
}
END_TEST

#define DEPTH 1000

/* A snapshot over parent with no pages, as the index would have it. */
static uint64_t insert_snapshot(const char *name, uint64_t parent)
{
	char sql[320];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO snapshot (name, parent, size, page_size, state, created_ns, digest, "
		 "layer_digest) VALUES ('%s', %ju, %ju, 4096, 2, 0, zeroblob(16), zeroblob(16))",
		 name, (uintmax_t)parent, (uintmax_t)BYTES);
	ck_assert_int_eq(sqlite3_exec(index_db(fixture_index), sql, NULL, NULL, NULL), SQLITE_OK);
	return (uint64_t)sqlite3_last_insert_rowid(index_db(fixture_index));
}

/* Pages of the base, or zeros, at other places, in the index and in the image. */
static void insert_random_layer(uint64_t id, const struct map *base, char *image,
				const char *base_image, unsigned int *seed)
{
	sqlite3_stmt *insert;

	CK_OK(sql_get(fixture_index, "INSERT INTO extent VALUES (?1, ?2, 1, ?3)", &insert));
	for (uint64_t pgno = (uint64_t)rand_r(seed) % 40; pgno < NPAGES;
	     pgno += 1 + (uint64_t)rand_r(seed) % 40) {
		uint64_t from = (uint64_t)rand_r(seed) % NPAGES;
		const struct run run = map_run(base, map_find(base, from));

		sqlite3_clear_bindings(insert);
		sql_bind(insert, 1, id);
		sql_bind(insert, 2, pgno);
		if (run.kind == RUN_DATA)
			sql_bind(insert, 3, run.page + (from - run.first));
		CK_OK(sql_run(fixture_index, insert));
		memcpy(image + pgno * PAGE_BYTES, base_image + from * PAGE_BYTES, PAGE_BYTES);
	}
}

/* Makes the row say what a seal would have. */
static void seal_inserted(uint64_t id)
{
	AUTO(map_free_at) struct map *mem = NULL;
	AUTO(map_free_at) struct map *layer = NULL;
	uint8_t digests[2][DIGEST_BYTES];
	struct snapshot_row row;
	sqlite3_stmt *update;
	uint64_t layer_data;
	uint64_t data;
	uint64_t zero = 0;

	CK_OK(catalog_find_id(fixture_index, id, &row));
	CK_OK(resolve_maps(fixture_index, &row, &mem, &layer, NULL));
	CK_OK(digest_map(fixture_index, mem, digests[0], &data));
	CK_OK(digest_map(fixture_index, layer, digests[1], &layer_data));
	for (size_t i = 0; i < layer->nruns; i++)
		if (map_run_kind(layer, i) == RUN_ZERO)
			zero += map_run_end(layer, i) - map_run_first(layer, i);
	CK_OK(sql_get(fixture_index,
		      "UPDATE snapshot SET digest = ?2, layer_digest = ?3, data_pages = ?4, "
		      "layer_data = ?5, layer_zero = ?6 WHERE id = ?1",
		      &update));
	sql_bind(update, 1, id);
	sqlite3_bind_blob(update, 2, digests[0], DIGEST_BYTES, SQLITE_TRANSIENT);
	sqlite3_bind_blob(update, 3, digests[1], DIGEST_BYTES, SQLITE_TRANSIENT);
	sql_bind(update, 4, data);
	sql_bind(update, 5, layer_data);
	sql_bind(update, 6, zero);
	CK_OK(sql_run(fixture_index, update));
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A thousand layers open in less than a second, and read as one map. */
START_TEST(a_thousand_layers_are_one_map)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	char *base = fixture_image(NPAGES, 140);
	char *image = fixture_image(NPAGES, 140);
	unsigned int seed = 141;
	struct snapshot_row row;
	double took;
	uint64_t id;

	fixture_setup();
	row = fixture_import("base", base, NPAGES);
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot));
	CK_OK(sql_do(fixture_index, "BEGIN"));
	id = row.id;
	for (unsigned int i = 1; i < DEPTH; i++) {
		char name[16];

		snprintf(name, sizeof(name), "layer%u", i);
		id = insert_snapshot(name, id);
		insert_random_layer(id, snapshot_map(snapshot, MAP_MEM), image, base, &seed);
	}
	CK_OK(sql_do(fixture_index, "COMMIT"));
	seal_inserted(id);
	snapshot_close(TAKE_PTR(snapshot));
	fixture_close();
	fixture_open();
	took = cpu_seconds();
	CK_OK(fixture_compare("layer999", image, NPAGES));
	took = cpu_seconds() - took;
	printf("%d layers: opened and read in %.3f s of CPU\n", DEPTH, took);
	ck_assert(took < 1.0);
	munmap(base, BYTES);
	munmap(image, BYTES);
	fixture_teardown();
}
END_TEST

static uint64_t hash_of(uint64_t id)
{
	int64_t hash = 0;

	CK_OK(sql_number(fixture_index, "SELECT hash FROM page WHERE id = ?1", (int64_t)id, &hash));
	return (uint64_t)hash;
}

/* A map of stretches of the ids 1 to nids, in any order, some of them twice; and its
 * digest, page by page. */
static struct map *random_map(uint64_t nids, uint8_t wanted[DIGEST_BYTES], uint64_t *data)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	AUTO(digest_free_at) struct digest *digest = NULL;
	struct map *map = NULL;

	CK_OK(map_builder_new(NPAGES, &builder));
	CK_OK(digest_new(&digest));
	*data = 0;
	for (uint64_t at = 0, n; at < NPAGES; at += n) {
		bool zero = rand() % 3 == 0;
		uint64_t id = zero ? 0 : 1 + (uint64_t)rand() % nids;

		n = 1 + (uint64_t)rand() % (rand() % 8 ? 5 : 200);
		n = MIN(n, NPAGES - at);
		n = zero ? n : MIN(n, nids + 1 - id);
		CK_OK(map_builder_add(builder, 0, zero ? RUN_ZERO : RUN_DATA, at, n, id));
		if (zero)
			digest_add_run(digest, RUN_ZERO, n);
		for (uint64_t i = 0; !zero && i < n; i++)
			digest_add_data(digest, hash_of(id + i));
		*data += zero ? 0 : n;
	}
	digest_finish(digest, NPAGES * PAGE_BYTES, wanted);
	CK_OK(map_builder_finish(builder, false, &map));
	return map;
}

START_TEST(a_digest_does_not_depend_on_where_pages_lie)
{
	char *image = fixture_image(NPAGES, 9);
	struct snapshot_row row;
	int64_t nids;

	fixture_setup();
	row = fixture_import("base", image, NPAGES);
	CK_OK(sql_number(fixture_index, "SELECT max(id) FROM page", 0, &nids));
	for (unsigned int seed = 0; seed < 20; seed++) {
		AUTO(map_free_at) struct map *map = NULL;
		uint8_t wanted[DIGEST_BYTES];
		uint8_t found[DIGEST_BYTES];
		uint64_t data;
		uint64_t counted;

		srand(seed);
		map = random_map((uint64_t)nids, wanted, &counted);
		CK_OK(digest_map(fixture_index, map, found, &data));
		ck_assert_mem_eq(found, wanted, DIGEST_BYTES);
		ck_assert_uint_eq(data, counted);
	}
	ck_assert_uint_gt(row.data_pages, 200);
	munmap(image, BYTES);
	fixture_teardown();
}
END_TEST

/* At the end of a stretch, in the middle of one; between two it is not missed. */
START_TEST(a_row_that_is_missing_is_named)
{
	char *image = fixture_image(NPAGES, 9);
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	AUTO(map_free_at) struct map *map = NULL;
	uint8_t found[DIGEST_BYTES];
	uint64_t data;

	fixture_setup();
	fixture_import("base", image, NPAGES);
	CK_OK(map_builder_new(NPAGES, &builder));
	CK_OK(map_builder_add(builder, 0, RUN_DATA, 0, 4, 20));
	CK_OK(map_builder_add(builder, 0, RUN_DATA, 4, 4, 10));
	CK_OK(map_builder_finish(builder, false, &map));
	CK_OK(sql_do(fixture_index, "DELETE FROM page WHERE id = 16")); /* of no use to it */
	CK_OK(digest_map(fixture_index, map, found, &data));
	ck_assert_uint_eq(data, 8);
	CK_OK(sql_do(fixture_index, "DELETE FROM page WHERE id = 23"));
	ck_assert_int_eq(digest_map(fixture_index, map, found, &data), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(fail_text(-EBADMSG), "page row 23 is missing"));
	CK_OK(sql_do(fixture_index, "DELETE FROM page WHERE id = 11"));
	ck_assert_int_eq(digest_map(fixture_index, map, found, &data), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(fail_text(-EBADMSG), "page row 11 is missing"));
	munmap(image, BYTES);
	fixture_teardown();
}
END_TEST

UNIT_MAIN("chain", layers_that_say_something_else_are_refused, a_thousand_layers_are_one_map,
	  a_digest_does_not_depend_on_where_pages_lie, a_row_that_is_missing_is_named)
