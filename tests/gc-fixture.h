/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store with garbage in it, and its collection. With libdb-small.a, whose windows,
 * lists and steps are so small that there are many of each.
 */
#ifndef PAGODA_TESTS_GC_FIXTURE_H
#define PAGODA_TESTS_GC_FIXTURE_H

#include <sys/stat.h>

#include "db/gc-private.h"
#include "db/lock.h"
#include "tests/hook-fixture.h"
#include "tests/index-fixture.h"

#define NPAGES 1600

/* Page rows that no extent names. */
#define DEAD                                                                                       \
	"FROM page p WHERE NOT EXISTS (SELECT 1 FROM extent e WHERE e.page <= p.id "               \
	"AND e.page + e.count > p.id)"

static inline uint64_t packs_bytes(void)
{
	char command[160];
	unsigned long bytes = 0;
	FILE *out;

	snprintf(command, sizeof(command),
		 "find %s/packs -type f -printf '%%s\\n' | awk '{s += $1} END {print s + 0}'",
		 fixture_dir);
	out = popen(command, "r");
	ck_assert_int_eq(fscanf(out, "%lu", &bytes), 1);
	pclose(out);
	return bytes;
}

static inline int collect(bool dry_run, struct gc_report *ret)
{
	struct gc_request request = {.dry_run = dry_run};

	return gc_run(fixture_index, &request, ret);
}

/* A dry run tells what a run does, and the run leaves no garbage. */
static inline struct gc_report collect_exactly(void)
{
	uint64_t dead = number("SELECT count(*) " DEAD);
	uint64_t before = packs_bytes();
	struct gc_report said;
	struct gc_report did;

	CK_OK(collect(true, &said));
	ck_assert_uint_eq(packs_bytes(), before);
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), dead);
	CK_OK(collect(false, &did));
	ck_assert_int_eq(memcmp(&said, &did, sizeof(did)), 0);
	ck_assert_uint_eq(did.pages, dead);
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), 0);
	ck_assert_uint_eq(before - packs_bytes(), did.bytes);
	ck_assert_uint_eq(findings(), 0);
	return did;
}

/* b has some pages of a, at least a stretch of count from first on; a is removed, so
 * that most of its pack is garbage. Returns the image of b. */
static inline char *leave_garbage(uint64_t first, uint64_t count)
{
	char *a = fixture_image(NPAGES, 70);
	char *b = fixture_image(NPAGES, 71);

	fixture_import("a", a, NPAGES);
	memcpy(b + first * PAGE_BYTES, a + first * PAGE_BYTES, count * PAGE_BYTES);
	fixture_import("b", b, NPAGES);
	CK_OK(catalog_remove(fixture_index, "a", false));
	munmap(a, NPAGES * PAGE_BYTES);
	return b;
}

static uint64_t shared_id; /* of a row nobody names yet */
static uint64_t hook_snapshot;

/* An import names the dead row, in an extent of its own, and goes on. */
static inline void name_by_import(struct index *index)
{
	char sql[512];

	hook_snapshot = number("SELECT coalesce(max(id), 0) + 1 FROM snapshot");
	CK_OK(locks_take_exclusive(fixture_store->locks, hook_snapshot, 0));
	snprintf(sql, sizeof(sql),
		 "INSERT INTO snapshot (id, name, size, page_size, state, created_ns) "
		 "VALUES (%llu, 'under-way', 1048576, 4096, 0, 0);"
		 "INSERT INTO extent VALUES (%llu, 0, 3, NULL), (%llu, 3, 1, %llu)",
		 (unsigned long long)hook_snapshot, (unsigned long long)hook_snapshot,
		 (unsigned long long)hook_snapshot, (unsigned long long)shared_id);
	run_sql(index, sql);
}

#endif
