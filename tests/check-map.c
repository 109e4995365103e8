/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps against a model: an array with one entry a page.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "db/map.h"
#include "db/store.h"
#include "tests/unit.h"

#define PAGES 200

struct model {
	enum run_kind kinds[PAGES];
	uint64_t ids[PAGES];
	uint32_t layers[PAGES];
};

static void model_matches(const struct model *model, const struct map *map)
{
	ck_assert_uint_eq(map->npages, PAGES);
	ck_assert_uint_eq(map_run_first(map, 0), 0);
	ck_assert_uint_eq(map_run_first(map, map->nruns), PAGES);
	for (uint64_t pgno = 0; pgno < PAGES; pgno++) {
		size_t i = map_find(map, pgno);
		const struct run run = map_run(map, i);

		ck_assert_uint_le(run.first, pgno);
		ck_assert_uint_gt(map_run_end(map, i), pgno);
		ck_assert_int_eq(run.kind, model->kinds[pgno]);
		if (run.kind != RUN_ABSENT)
			ck_assert_uint_eq(run.layer, model->layers[pgno]);
		if (run.kind == RUN_DATA)
			ck_assert_uint_eq(run.page + pgno - run.first, model->ids[pgno]);
	}
}

/* Random runs of one layer into builder and model. */
static void add_random_layer(struct map_builder *builder, struct model *model, uint32_t layer)
{
	uint64_t id = 1000 * (layer + 1);

	for (uint64_t at = rand() % 8; at < PAGES;) {
		uint64_t count = MIN((uint64_t)(1 + rand() % 20), PAGES - at);
		enum run_kind kind = rand() % 2 ? RUN_DATA : RUN_ZERO;

		ck_assert_int_eq(map_builder_add(builder, layer, kind, at, count, id), 0);
		for (uint64_t i = 0; i < count; i++) {
			if (model->kinds[at + i] != RUN_ABSENT)
				continue;
			model->kinds[at + i] = kind;
			model->ids[at + i] = id + i;
			model->layers[at + i] = layer;
		}
		id += count + (uint64_t)(rand() % 2);
		at += count + (uint64_t)(rand() % 3 ? 0 : rand() % 30);
	}
}

START_TEST(layers_merge_like_the_model)
{
	unsigned int seed = 7;

	for (int round = 0; round < 300; round++) {
		struct model model = {0};
		AUTO(map_builder_free_at) struct map_builder *builder = NULL;
		AUTO(map_free_at) struct map *map = NULL;

		srand(seed + (unsigned int)round);
		ck_assert_int_eq(map_builder_new(PAGES, &builder), 0);
		for (uint32_t layer = 0; layer < (uint32_t)(round % 37); layer++)
			add_random_layer(builder, &model, layer);
		ck_assert_int_eq(map_builder_finish(builder, false, &map), 0);
		model_matches(&model, map);
	}
}
END_TEST

START_TEST(absent_becomes_zero_when_merged)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	AUTO(map_free_at) struct map *map = NULL;

	ck_assert_int_eq(map_builder_new(10, &builder), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_DATA, 4, 2, 77), 0);
	ck_assert_int_eq(map_builder_finish(builder, true, &map), 0);
	ck_assert_uint_eq(map->nruns, 3);
	ck_assert_int_eq(map_run_kind(map, 0), RUN_ZERO);
	ck_assert_int_eq(map_run_kind(map, 1), RUN_DATA);
	ck_assert_int_eq(map_run_kind(map, 2), RUN_ZERO);
}
END_TEST

START_TEST(neighbours_become_one_run)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	AUTO(map_free_at) struct map *map = NULL;

	ck_assert_int_eq(map_builder_new(8, &builder), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_DATA, 0, 2, 5), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_DATA, 2, 2, 7), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_DATA, 4, 2, 7), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 6, 1, 0), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 7, 1, 0), 0);
	ck_assert_int_eq(map_builder_finish(builder, true, &map), 0);
	ck_assert_uint_eq(map->nruns, 3);
	ck_assert_uint_eq(map_run_first(map, 1), 4);
	ck_assert_uint_eq(map_run_first(map, 2), 6);
}
END_TEST

START_TEST(bad_runs_are_refused)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;

	ck_assert_int_eq(map_builder_new(10, &builder), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 0, 0, 0), -EBADMSG);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 9, 2, 0), -EBADMSG);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 10, 1, 0), -EBADMSG);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, UINT64_MAX, 2, 0), -EBADMSG);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 1, UINT64_MAX, 0), -EBADMSG);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 3, 3, 0), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 5, 1, 0), -EBADMSG);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 0, 1, 0), -EBADMSG);
}
END_TEST

/* What lseek does on a file with those holes, page by page. */
static int model_seek(const struct map *map, enum map_view view, uint64_t off, bool data,
		      uint64_t *ret)
{
	if (off >= map->npages * PAGE_BYTES)
		return -ENXIO;
	for (uint64_t pgno = off / PAGE_BYTES; pgno < map->npages; pgno++)
		if (map_is_hole(map_run_kind(map, map_find(map, pgno)), view) != data) {
			*ret = MAX(off, pgno * PAGE_BYTES);
			return 0;
		}
	if (data)
		return -ENXIO;
	*ret = map->npages * PAGE_BYTES;
	return 0;
}

START_TEST(seeking_is_exact)
{
	static const enum map_view views[] = {MAP_MEM, MAP_DIFF};

	for (unsigned int seed = 0; seed < 40; seed++) {
		struct model model = {0};
		AUTO(map_builder_free_at) struct map_builder *builder = NULL;
		AUTO(map_free_at) struct map *map = NULL;

		srand(seed);
		ck_assert_int_eq(map_builder_new(PAGES, &builder), 0);
		add_random_layer(builder, &model, 0);
		ck_assert_int_eq(map_builder_finish(builder, false, &map), 0);
		for (uint64_t off = 0; off < (PAGES + 2) * PAGE_BYTES; off += PAGE_BYTES / 2 + 1)
			for (size_t i = 0; i < 4; i++) {
				uint64_t want = 0;
				uint64_t got = 0;
				int r = model_seek(map, views[i / 2], off, i % 2, &want);

				ck_assert_int_eq(map_seek(map, views[i / 2], off, i % 2, &got), r);
				ck_assert_uint_eq(got, want);
			}
	}
}
END_TEST

/* What lies at the ends of what a packed run can say. */
START_TEST(large_numbers_are_kept)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	AUTO(map_free_at) struct map *map = NULL;
	const uint64_t last = MAP_NPAGES_MAX - 1;
	struct run run;

	ck_assert_int_eq(map_builder_new(MAP_NPAGES_MAX, &builder), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_DATA, 0, 1, MAP_PAGE_MAX + 1), -EBADMSG);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_DATA, 0, 2, MAP_PAGE_MAX), -EBADMSG);
	ck_assert_int_eq(map_builder_add(builder, MAP_LAYER_MAX + 1, RUN_ZERO, 0, 1, 0), -EBADMSG);
	ck_assert_int_eq(map_builder_add(builder, 5, RUN_ZERO, 1, last - 2, 0), 0);
	ck_assert_int_eq(map_builder_add(builder, MAP_LAYER_MAX, RUN_DATA, last, 1, MAP_PAGE_MAX),
			 0);
	ck_assert_int_eq(map_builder_finish(builder, false, &map), 0);
	ck_assert_uint_eq(map->nruns, 4);
	ck_assert_uint_eq(map_run_end(map, 3), MAP_NPAGES_MAX);
	run = map_run(map, map_find(map, last));
	ck_assert_uint_eq(run.first, last);
	ck_assert_uint_eq(run.page, MAP_PAGE_MAX);
	ck_assert_uint_eq(run.layer, MAP_LAYER_MAX);
	ck_assert_int_eq(run.kind, RUN_DATA);
	run = map_run(map, map_find(map, last - 2));
	ck_assert_uint_eq(run.first, 1);
	ck_assert_uint_eq(run.page, 0);
	ck_assert_uint_eq(run.layer, 5);
	ck_assert_int_eq(run.kind, RUN_ZERO);
	ck_assert_uint_gt(map_bytes(map), 4 * 3 * sizeof(uint32_t));
	map_flatten(map);
	ck_assert_uint_eq(map_run(map, 3).layer, 0);
	ck_assert_uint_eq(map_run(map, 3).page, MAP_PAGE_MAX);
}
END_TEST

/* Of one layer, with ids as they are at first: two words a run. */
START_TEST(a_base_takes_little)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	AUTO(map_free_at) struct map *map = NULL;
	const uint64_t id = (UINT64_C(1) << 30) - PAGES;

	ck_assert_int_eq(map_builder_new(PAGES, &builder), 0);
	for (uint64_t pgno = 0; pgno < PAGES; pgno++)
		ck_assert_int_eq(map_builder_add(builder, 0, pgno % 2 ? RUN_DATA : RUN_ZERO, pgno,
						 1, pgno % 2 ? id + pgno : 0),
				 0);
	ck_assert_int_eq(map_builder_finish(builder, false, &map), 0);
	ck_assert_uint_eq(map->nruns, PAGES);
	ck_assert_uint_le(map_bytes(map), sizeof(*map) + PAGES * 2 * sizeof(uint32_t));
	for (uint64_t pgno = 0; pgno < PAGES; pgno++) {
		ck_assert_uint_eq(map_run(map, pgno).first, pgno);
		ck_assert_uint_eq(map_run(map, pgno).page, pgno % 2 ? id + pgno : 0);
	}
}
END_TEST

START_TEST(a_shared_map_stays_until_the_last_owner_goes)
{
	AUTO(map_builder_free_at) struct map_builder *builder = NULL;
	AUTO(map_free_at) struct map *map = NULL;
	struct map *shared;

	ck_assert_int_eq(map_builder_new(PAGES, &builder), 0);
	ck_assert_int_eq(map_builder_add(builder, 0, RUN_ZERO, 0, PAGES, 0), 0);
	ck_assert_int_eq(map_builder_finish(builder, false, &map), 0);
	shared = map_share(map);
	ck_assert_ptr_eq(shared, map);
	map_free(shared);
	ck_assert_uint_eq(map_run_end(map, 0), PAGES); /* under ASan or not at all */
}
END_TEST

UNIT_MAIN("map", a_base_takes_little, large_numbers_are_kept,
	  a_shared_map_stays_until_the_last_owner_goes, layers_merge_like_the_model,
	  absent_becomes_zero_when_merged, neighbours_become_one_run, bad_runs_are_refused,
	  seeking_is_exact)
