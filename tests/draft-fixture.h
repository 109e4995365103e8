/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A draft of a base, and what both should read as. Whatever goes wrong fails the test.
 */
#ifndef PAGODA_TESTS_DRAFT_FIXTURE_H
#define PAGODA_TESTS_DRAFT_FIXTURE_H

#include "db/draft-private.h"
#include "db/draft-vmstate.h"
#include "db/draft.h"
#include "db/fork.h"
#include "tests/index-fixture.h"

#include "tests/store-fixture.h"
#include "tests/unit.h"

#define PAGES UINT64_C(2048)
#define BYTES (PAGES * PAGE_BYTES)

static char *base;
static char *image; /* what the draft should read as */
static bool in_layer[PAGES];
static struct drafts *drafts;
static struct draft *draft;
static uint64_t draft_id;

static inline void open_draft(void)
{
	CK_OK(drafts_new(fixture_store, &drafts));
	CK_OK(draft_open(drafts, fixture_index, draft_id, true, 0, &draft));
}

static inline void close_draft(void)
{
	CK_OK(draft_close(draft, true));
	CK_OK(drafts_free(drafts));
}

static inline void setup(void)
{
	struct snapshot_row row;

	fixture_setup();
	base = fixture_image(PAGES, 1);
	image = fixture_image(PAGES, 1);
	memset(in_layer, 0, sizeof(in_layer));
	fixture_import("base", base, PAGES);
	CK_OK(fork_snapshot(fixture_index, "base", "draft", &row));
	draft_id = row.id;
	open_draft();
}

static inline void teardown(void)
{
	munmap(base, BYTES);
	munmap(image, BYTES);
	fixture_teardown();
}

static inline void mark(uint64_t off, uint64_t len)
{
	for (uint64_t i = off / PAGE_BYTES; len > 0 && i <= (off + len - 1) / PAGE_BYTES; i++)
		in_layer[i] = true;
}

static inline void write_at(uint64_t off, const void *buf, size_t len)
{
	CK_OK(draft_write(draft, fixture_pages, off, buf, len));
	memcpy(image + off, buf, len);
	mark(off, len);
}

static inline void zero_at(uint64_t off, uint64_t len)
{
	CK_OK(draft_zero(draft, fixture_pages, off, len));
	memset(image + off, 0, len);
	mark(off, len);
}

static inline void check_reads(void)
{
	char *found = malloc(BYTES);

	CK_OK(draft_read(draft, fixture_pages, 0, found, BYTES));
	ck_assert(memcmp(found, image, BYTES) == 0);
	free(found);
}

/* As another process finds it: the bytes, the layer, the counts. */
static inline void check_stored(void)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	const struct map *layer;
	struct snapshot_row row;
	uint64_t layer_data = 0;
	uint64_t layer_zero = 0;

	ck_assert_int_eq(fixture_compare("draft", image, PAGES), 0);
	ck_assert_int_eq(fixture_compare("base", base, PAGES), 0);
	CK_OK(catalog_find(fixture_index, "draft", &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot));
	layer = snapshot_map(snapshot, MAP_DIFF);
	for (uint64_t i = 0; i < PAGES; i++) {
		enum run_kind kind = map_run_kind(layer, map_find(layer, i));

		ck_assert_msg((kind != RUN_ABSENT) == in_layer[i], "page %d of the layer", (int)i);
		layer_zero += kind == RUN_ZERO;
		layer_data += kind == RUN_DATA || kind == RUN_PENDING;
	}
	ck_assert_uint_eq(row.layer_data, layer_data);
	ck_assert_uint_eq(row.layer_zero, layer_zero);
	layer = snapshot_map(snapshot, MAP_MEM);
	ck_assert_uint_eq(row.data_pages, map_count(layer, MAP_MEM, 0, PAGES));
	ck_assert_uint_eq(findings(), 0);
}

static inline int64_t count(const char *sql)
{
	int64_t n;

	CK_OK(sql_number(fixture_index, sql, (int64_t)draft_id, &n));
	return n;
}

#define PENDING "SELECT count(*) FROM pending WHERE snapshot = ?1"
#define PACKS "SELECT count(*) FROM pack WHERE maker = ?1"

/* Noise, so that it is in no image by chance. */
static inline const char *noise(unsigned int seed, size_t len)
{
	static uint64_t buf[(1 << 20) / sizeof(uint64_t)];
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < (len + 7) / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = x;
	}
	return (const char *)buf;
}

#endif
