/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collecting garbage, built with windows, lists and steps so small that there are many
 * of each. A hook before a write transaction plays the other process that comes in
 * between: transaction_begin is wrapped.
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "db/check.h"
#include "db/gc-private.h"
#include "db/lock.h"
#include "db/marks.h"
#include "db/pack-cache.h"
#include "db/pack-make.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define NPAGES 1600

/* What comes in between: called before the transaction of that kind which makes the
 * countdown 0, with a connection of its own. */
static void (*hook)(struct index *index);
static int hook_countdown;
static enum transaction_kind hook_kind;

int __real_transaction_begin(struct index *index, enum transaction_kind kind,
			     struct index **ret_open);
int __wrap_transaction_begin(struct index *index, enum transaction_kind kind,
			     struct index **ret_open);

int __wrap_transaction_begin(struct index *index, enum transaction_kind kind,
			     struct index **ret_open)
{
	void (*call)(struct index *) = hook;

	if (call && kind == hook_kind && --hook_countdown == 0) {
		AUTO(index_close_at) struct index *other = NULL;

		hook = NULL;
		CK_OK(index_open(fixture_store, &other));
		call(other);
	}
	return __real_transaction_begin(index, kind, ret_open);
}

static void hook_set(void (*call)(struct index *), enum transaction_kind kind, int countdown)
{
	hook = call;
	hook_kind = kind;
	hook_countdown = countdown;
}

static void run_sql(struct index *index, const char *sql)
{
	AUTO(transaction_end_at) struct index *open = NULL;

	CK_OK(__real_transaction_begin(index, TRANSACTION_STEP, &open));
	ck_assert_msg(sqlite3_exec(index_db(index), sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s",
		      sql, sqlite3_errmsg(index_db(index)));
	CK_OK(transaction_commit(&open));
}

static uint64_t number(const char *sql)
{
	sqlite3_stmt *query;
	uint64_t value;

	ck_assert_msg(sqlite3_prepare_v2(index_db(fixture_index), sql, -1, &query, NULL) ==
			      SQLITE_OK,
		      "%s: %s", sql, sqlite3_errmsg(index_db(fixture_index)));
	ck_assert_int_eq(sqlite3_step(query), SQLITE_ROW);
	value = (uint64_t)sqlite3_column_int64(query, 0);
	sqlite3_finalize(query);
	return value;
}

#define DEAD                                                                                       \
	"FROM page p WHERE NOT EXISTS (SELECT 1 FROM extent e WHERE e.page <= p.id "               \
	"AND e.page + e.count > p.id)"

static bool pack_exists(uint64_t pack)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/packs/%u.pack", fixture_dir, (unsigned int)pack);
	return access(path, F_OK) == 0;
}

static uint64_t pack_bytes(unsigned int pack)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/packs/%u.pack", fixture_dir, pack);
	ck_assert_int_eq(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

static uint64_t packs_bytes(void)
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

static void print_finding(void *context, const char *snapshot, const char *what)
{
	(void)context;
	printf("found: %s: %s\n", snapshot, what);
}

static uint64_t findings(void)
{
	struct check_request request = {.read_percent = 100, .found = print_finding};
	struct check_report report;

	CK_OK(check_store(fixture_index, &request, &report));
	return report.findings;
}

static int collect(bool dry_run, struct gc_report *ret)
{
	struct gc_request request = {.dry_run = dry_run};

	return gc_run(fixture_index, &request, ret);
}

/* A dry run tells what a run does, and the run leaves no garbage. */
static struct gc_report collect_exactly(void)
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
static char *leave_garbage(uint64_t first, uint64_t count)
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

START_TEST(what_is_named_stays_and_the_rest_goes)
{
	struct gc_report report;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	report = collect_exactly();
	ck_assert_uint_gt(report.pages, 0);
	ck_assert_uint_eq(report.rewritten, 1);
	ck_assert_uint_eq(report.made, 1);
	ck_assert(!pack_exists(1));
	/* more rows than are listed at a time; of each block one copy, back to back */
	ck_assert_uint_gt(number("SELECT count(*) FROM page WHERE pack = 3"), GC_ENTRIES);
	ck_assert_uint_lt(number("SELECT count(DISTINCT offset) FROM page WHERE pack = 3"),
			  number("SELECT count(*) FROM page WHERE pack = 3"));
	ck_assert_uint_eq(number("SELECT sum(length) FROM (SELECT DISTINCT offset, length "
				 "FROM page WHERE pack = 3)"),
			  pack_bytes(3) - 64);
	CK_OK(fixture_compare("b", b, NPAGES));
	report = collect_exactly();
	ck_assert_uint_eq(report.pages + report.packs + report.bytes, 0);
	CK_OK(catalog_remove(fixture_index, "b", false));
	collect_exactly();
	ck_assert_uint_eq(packs_bytes(), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM page"), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM pack"), 0);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* Images that have stretches of each other, taken out and in. */
START_TEST(no_snapshot_misses_a_page_over_many_rounds)
{
	enum { SNAPSHOTS = 6, PAGES = 300 };
	unsigned int seed = (unsigned int)time(NULL);
	char *images[SNAPSHOTS] = {0};
	uint64_t rewritten = 0;
	int rounds = getenv("PAGODA_LONG") ? 400 : 40;

	seed = getenv("PAGODA_SEED") ? (unsigned int)strtoul(getenv("PAGODA_SEED"), NULL, 10)
				     : seed;
	printf("seed %u\n", seed);
	fixture_setup();
	/* and on until there was one to rewrite, which chance may leave out for so long */
	for (int round = 0; round < rounds || (rewritten == 0 && round < 20 * rounds); round++) {
		int i = rand_r(&seed) % SNAPSHOTS;
		int from = rand_r(&seed) % SNAPSHOTS;
		uint64_t first = (uint64_t)rand_r(&seed) % PAGES;
		uint64_t count = MIN((uint64_t)rand_r(&seed) % 60, PAGES - first);
		char name[] = {(char)('a' + i), '\0'};

		if (images[i]) {
			CK_OK(catalog_remove(fixture_index, name, false));
			munmap(images[i], PAGES * PAGE_BYTES);
			images[i] = NULL;
		} else {
			images[i] = fixture_image(PAGES, (unsigned int)rand_r(&seed));
			if (images[from])
				memmove(images[i] + (PAGES - first - count) * PAGE_BYTES,
					images[from] + first * PAGE_BYTES, count * PAGE_BYTES);
			fixture_import(name, images[i], PAGES);
		}
		rewritten += collect_exactly().rewritten;
		for (int k = 0; k < SNAPSHOTS; k++) {
			char other[] = {(char)('a' + k), '\0'};

			if (images[k])
				CK_OK(fixture_compare(other, images[k], PAGES));
		}
	}
	ck_assert_uint_gt(rewritten, 0);
	for (int i = 0; i < SNAPSHOTS; i++)
		if (images[i])
			munmap(images[i], PAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

static uint64_t shared_id; /* of a row nobody names yet */
static uint64_t hook_snapshot;

/* An import names the dead row, in an extent of its own, and goes on. */
static void name_by_import(struct index *index)
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

START_TEST(what_an_import_names_in_between_stays)
{
	struct gc_report report;
	char *b;
	char sql[160];

	fixture_setup();
	b = leave_garbage(100, 500);
	/* the last of the first step, which so is not dropped by an earlier one */
	shared_id = number("SELECT max(id) FROM (SELECT p.id " DEAD " ORDER BY id LIMIT 50)");
	ck_assert_uint_gt(shared_id, 0);
	hook_set(name_by_import, TRANSACTION_STEP, 1);
	CK_OK(collect(false, &report));
	ck_assert_ptr_null((void *)hook);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM page WHERE id = %llu",
		 (unsigned long long)shared_id);
	ck_assert_uint_eq(number(sql), 1);
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), 0);
	CK_OK(fixture_compare("b", b, NPAGES));
	/* without its lease it was cut off, and its page goes too */
	locks_drop_lease(fixture_store->locks, hook_snapshot);
	CK_OK(collect(false, &report));
	ck_assert_uint_eq(number(sql), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM snapshot WHERE state = 0"), 0);
	ck_assert_uint_eq(findings(), 0);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* What an import has at the end of a look may grow, and what it was sealed with counts
 * as well. */
START_TEST(marks_follow_an_import)
{
	AUTO(marks_free_at) struct marks *marks = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	bool all = false;

	fixture_setup();
	CK_OK(index_open(fixture_store, &index));
	CK_OK(marks_new(index, 0, &marks));
	shared_id = 10;
	name_by_import(fixture_index);
	CK_OK(marks_load(marks, 1));
	ck_assert(marks_has(marks, 10) && !marks_has(marks, 11) && !marks_has(marks, 9));
	run_sql(fixture_index, "UPDATE extent SET count = 5 WHERE first = 3");
	CK_OK(marks_catch_up(marks, 100, &all));
	ck_assert(all && marks_has(marks, 14) && !marks_has(marks, 15));
	/* more at once than one look reads */
	run_sql(fixture_index,
		"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19) "
		"INSERT INTO extent SELECT (SELECT max(id) FROM snapshot), 10 + i, 1, 20 + 2 * i "
		"FROM n");
	for (int looks = 0; looks < 10; looks++)
		CK_OK(marks_catch_up(marks, 100, &all));
	ck_assert(all && marks_has(marks, 58) && !marks_has(marks, 57));
	run_sql(fixture_index,
		"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9) "
		"INSERT INTO extent SELECT (SELECT max(id) FROM snapshot), 90 + i, 1, 80 + 2 * i "
		"FROM n;"
		"UPDATE snapshot SET state = 2, layer_data = 35, layer_zero = 3");
	locks_drop_lease(fixture_store->locks, hook_snapshot);
	for (int looks = 0; looks < 10; looks++)
		CK_OK(marks_catch_up(marks, 100, &all));
	ck_assert(all && marks_has(marks, 80) && marks_has(marks, 98));
	/* another window */
	CK_OK(marks_load(marks, 58));
	ck_assert(marks_has(marks, 58) && marks_has(marks, 80) && !marks_has(marks, 14));
	marks_free(TAKE_PTR(marks));
	index_close(TAKE_PTR(index));
	fixture_teardown();
}
END_TEST

/* A draft may come to name anything, anywhere. */
START_TEST(marks_follow_a_draft)
{
	AUTO(marks_free_at) struct marks *marks = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	bool all = false;

	fixture_setup();
	CK_OK(index_open(fixture_store, &index));
	CK_OK(marks_new(index, 0, &marks));
	run_sql(fixture_index,
		"INSERT INTO snapshot (name, size, page_size, state, created_ns) "
		"VALUES ('draft', 1048576, 4096, 1, 0);"
		"INSERT INTO extent VALUES (1, 0, 2, 10), (1, 50, 2, 20), (1, 60, 2, 30), "
		"(1, 70, 1, 40), (1, 80, 1, 50)");
	CK_OK(marks_load(marks, 1));
	ck_assert(marks_has(marks, 10) && marks_has(marks, 50) && !marks_has(marks, 51));
	run_sql(fixture_index, "UPDATE extent SET page = 100 WHERE first = 0");
	/* too many for a look that is to be short */
	CK_OK(marks_catch_up(marks, 3, &all));
	ck_assert(!all);
	CK_OK(marks_catch_up(marks, 5, &all));
	ck_assert(all && marks_has(marks, 100) && marks_has(marks, 101) && marks_has(marks, 10));
	/* nothing came: that is said at once */
	CK_OK(marks_catch_up(marks, 0, &all));
	ck_assert(all);
	run_sql(fixture_index, "UPDATE extent SET count = 3 WHERE first = 60;"
			       "UPDATE snapshot SET state = 2, layer_data = 9");
	CK_OK(marks_catch_up(marks, 100, &all));
	ck_assert(all && marks_has(marks, 32));
	marks_free(TAKE_PTR(marks));
	index_close(TAKE_PTR(index));
	fixture_teardown();
}
END_TEST

static char alias_sql[256];

/* A row that was an alias of one in pack 1, before that was moved. */
static void add_alias(struct index *index)
{
	run_sql(index, alias_sql);
}

static void alias_remember(void)
{
	uint64_t id = number("SELECT min(p.id) FROM page p JOIN extent e "
			     "ON e.page <= p.id AND e.page + e.count > p.id WHERE p.pack = 1");
	char sql[160];
	uint64_t row[3];
	static const char *const columns[] = {"hash", "offset", "length"};

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		snprintf(sql, sizeof(sql), "SELECT %s FROM page WHERE id = %llu", columns[i],
			 (unsigned long long)id);
		row[i] = number(sql);
	}
	snprintf(alias_sql, sizeof(alias_sql),
		 "INSERT INTO page (hash, pack, offset, length) VALUES (%lld, 1, %lld, %lld)",
		 (long long)row[0], (long long)row[1], (long long)row[2]);
}

/* b names one page by two rows after this: the last one is what came. */
static void add_alias_of_b(struct index *index)
{
	run_sql(index,
		"INSERT INTO page (hash, pack, offset, length) "
		"SELECT hash, pack, offset, length FROM page WHERE id = "
		"(SELECT min(id) FROM page);"
		"INSERT INTO snapshot (name, size, page_size, state, created_ns, data_pages, "
		"layer_data) VALUES ('alias', 4096, 4096, 1, 0, 1, 1);"
		"INSERT INTO extent SELECT max(s.id), 0, 1, (SELECT max(id) FROM page) "
		"FROM snapshot s");
}

/* An alias of a page, written just before the last row of its pack is moved away. */
START_TEST(a_pack_that_is_named_in_between_stays_for_another_round)
{
	struct gc_report report;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	/* the first catalog transaction is the one that dooms */
	alias_remember();
	hook_set(add_alias, TRANSACTION_CATALOG, 1);
	CK_OK(collect(false, &report));
	ck_assert_ptr_null((void *)hook);
	ck_assert_uint_eq(report.rewritten, 1);
	ck_assert_uint_eq(report.made, 2);
	ck_assert(!pack_exists(1));
	CK_OK(fixture_compare("b", b, NPAGES));
	ck_assert_uint_eq(findings(), 0);

	/* ... and before a step of the moving */
	fixture_teardown();
	fixture_setup();
	munmap(b, NPAGES * PAGE_BYTES);
	b = leave_garbage(100, 500);
	hook_set(add_alias_of_b, TRANSACTION_STEP,
		 (int)((number("SELECT count(*) " DEAD) + 49) / 50) + 2);
	CK_OK(collect(false, &report));
	ck_assert_ptr_null((void *)hook);
	ck_assert_uint_eq(report.rewritten, 1);
	ck_assert(!pack_exists(1));
	CK_OK(fixture_compare("b", b, NPAGES));
	ck_assert_uint_eq(findings(), 0);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(who_has_it_open_reads_on)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	char *found = malloc(NPAGES * PAGE_BYTES);
	struct snapshot_row row;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	CK_OK(catalog_find(fixture_index, "b", &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot));
	/* its rows, and its packs, are cached now */
	CK_OK(snapshot_read(snapshot, fixture_pages, MAP_MEM, 0, found, row.size));
	ck_assert_uint_eq(collect_exactly().rewritten, 1);
	CK_OK(snapshot_read(snapshot, fixture_pages, MAP_MEM, 0, found, row.size));
	ck_assert_int_eq(memcmp(found, b, row.size), 0);
	/* the removed pack is let go of, and its rows are looked up once more */
	pack_cache_trim(fixture_store, false);
	memset(found, 0, row.size);
	CK_OK(snapshot_read(snapshot, fixture_pages, MAP_MEM, 0, found, row.size));
	ck_assert_int_eq(memcmp(found, b, row.size), 0);
	ck_assert_int_eq(catalog_remove(fixture_index, "b", false), -EBUSY);
	snapshot_close(TAKE_PTR(snapshot));
	free(found);
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(a_damaged_page_is_not_moved)
{
	struct gc_report report;
	char path[128];
	uint64_t offset;
	FILE *pack;
	char *b;
	int c;

	fixture_setup();
	b = leave_garbage(100, 500);
	offset = number("SELECT max(offset) FROM page WHERE pack = 1 AND id IN "
			"(SELECT id FROM page EXCEPT SELECT p.id " DEAD ")");
	snprintf(path, sizeof(path), "%s/packs/1.pack", fixture_dir);
	pack = fopen(path, "r+");
	fseek(pack, (long)offset + 1, SEEK_SET);
	c = fgetc(pack);
	fseek(pack, (long)offset + 1, SEEK_SET);
	fputc(c ^ 1, pack);
	fclose(pack);
	ck_assert_int_eq(collect(false, &report), -EBADMSG);
	ck_assert_uint_eq(report.damaged, 1);
	ck_assert_uint_eq(report.rewritten, 0);
	ck_assert(pack_exists(1));
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), 0);
	ck_assert_int_eq(fixture_compare("b", b, NPAGES), -EBADMSG);
	ck_assert_uint_gt(findings(), 0);
	/* the damage is where it was: put right, all is well */
	pack = fopen(path, "r+");
	fseek(pack, (long)offset + 1, SEEK_SET);
	fputc(c, pack);
	fclose(pack);
	CK_OK(fixture_compare("b", b, NPAGES));
	CK_OK(collect(false, &report));
	CK_OK(fixture_compare("b", b, NPAGES));
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* What is needed by half or more is not written anew. */
START_TEST(a_pack_worth_keeping_is_kept)
{
	struct gc_report report;
	char *b;

	fixture_setup();
	b = leave_garbage(100, 1100);
	report = collect_exactly();
	ck_assert_uint_gt(report.pages, 0);
	ck_assert_uint_eq(report.rewritten, 0);
	ck_assert(pack_exists(1));
	CK_OK(fixture_compare("b", b, NPAGES));
	munmap(b, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

/* An import that was killed: a dry run counts it as a run does, which sweeps it. */
START_TEST(what_was_cut_off_is_garbage)
{
	char *image = fixture_image(NPAGES, 75);
	struct gc_report said;
	struct gc_report did;

	fixture_setup();
	fixture_import("a", image, NPAGES);
	run_sql(fixture_index, "UPDATE snapshot SET state = 0");
	CK_OK(collect(true, &said));
	ck_assert_uint_eq(number("SELECT count(*) FROM snapshot"), 1);
	CK_OK(collect(false, &did));
	ck_assert_int_eq(memcmp(&said, &did, sizeof(did)), 0);
	ck_assert_uint_eq(did.packs, 1);
	ck_assert_uint_eq(packs_bytes(), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM snapshot"), 0);
	ck_assert_uint_eq(findings(), 0);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(packs_that_are_written_stay)
{
	AUTO(pack_writer_close_at) struct pack_writer *writer = NULL;
	struct gc_report report;
	char page[PAGE_BYTES] = "page";
	uint32_t pack;

	fixture_setup();
	CK_OK(pack_make(fixture_index, 0, &writer));
	pack = pack_writer_number(writer);
	CK_OK(pack_writer_append(writer, page, sizeof(page)));
	CK_OK(pack_writer_sync(writer));
	CK_OK(collect(false, &report));
	ck_assert_uint_eq(report.packs, 0);
	ck_assert(pack_exists(pack));
	/* the index has lost its row: it still is someone's */
	run_sql(fixture_index, "DELETE FROM pack");
	CK_OK(collect(false, &report));
	ck_assert(pack_exists(pack));
	pack_writer_close(TAKE_PTR(writer));
	ck_assert_uint_eq(collect_exactly().packs, 1);
	ck_assert(!pack_exists(pack));
	fixture_teardown();
}
END_TEST

START_TEST(files_the_index_does_not_know_go)
{
	static const struct {
		const char *name;
		bool goes;
	} files[] = {
		{"77.pack", true}, {"4294967295.pack", true},	{"077.pack", false},
		{"0.pack", false}, {"-5.pack", false},		{"77.pack~", false},
		{"notes", false},  {"99999999999.pack", false},
	};
	char path[160];

	fixture_setup();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/packs/%s", fixture_dir, files[i].name);
		file = fopen(path, "w");
		fputs("stray", file);
		fclose(file);
	}
	ck_assert_uint_eq(collect_exactly().packs, 2);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/packs/%s", fixture_dir, files[i].name);
		ck_assert_msg((access(path, F_OK) != 0) == files[i].goes, "%s", files[i].name);
	}
	/* a row without a file, and without need of one */
	run_sql(fixture_index, "INSERT INTO pack (maker) VALUES (0)");
	ck_assert_uint_eq(collect_exactly().packs, 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM pack"), 0);
	fixture_teardown();
}
END_TEST

/* A draft of two pages' worth of extents less than its packs have. */
static void make_rewritten_draft(const char *image)
{
	fixture_import("draft", image, NPAGES);
	run_sql(fixture_index, "UPDATE snapshot SET state = 1, digest = NULL, layer_digest = NULL;"
			       "DELETE FROM extent WHERE first > 100");
}

static void take_lease_and_wait(uint64_t id, int ready, int wait_for)
{
	struct store *store = NULL;
	char c = 'x';

	if (store_open(fixture_dir, &store) == 0 && locks_take_lease(store->locks, id) == 0)
		(void)!write(ready, &c, 1);
	(void)!read(wait_for, &c, 1);
	_exit(0);
}

START_TEST(what_others_have_open_by_an_older_map_stays)
{
	char *image = fixture_image(NPAGES, 72);
	struct gc_report report;
	int ready[2];
	int go[2];
	char c = 0;
	pid_t child;

	fixture_setup();
	make_rewritten_draft(image);
	ck_assert_uint_gt(number("SELECT count(*) " DEAD), 0);
	ck_assert(pipe(ready) == 0 && pipe(go) == 0);
	child = fork();
	if (child == 0)
		take_lease_and_wait(1, ready[1], go[0]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	CK_OK(collect(false, &report));
	ck_assert_uint_eq(report.pages, 0);
	CK_OK(gc_run_maker(fixture_index, 1, &report));
	ck_assert_uint_eq(report.pages, 0);
	ck_assert_int_eq(write(go[1], &c, 1), 1);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	/* one's own lease is in the way of a whole collection, not of one of the maker */
	CK_OK(locks_take_lease(fixture_store->locks, 1));
	CK_OK(collect(false, &report));
	ck_assert_uint_eq(report.pages, 0);
	CK_OK(gc_run_maker(fixture_index, 1, &report));
	ck_assert_uint_gt(report.pages, 0);
	ck_assert_uint_eq(report.rewritten, 1);
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), 0);
	ck_assert_uint_eq(number("SELECT maker FROM pack"), 1);
	locks_drop_lease(fixture_store->locks, 1);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(one_maker_alone)
{
	struct gc_report report;
	char *image = fixture_image(NPAGES, 73);
	char *b;

	fixture_setup();
	b = leave_garbage(100, 500);
	make_rewritten_draft(image);
	CK_OK(gc_run_maker(fixture_index, 3, &report));
	ck_assert_uint_gt(report.pages, 0);
	ck_assert(pack_exists(1));
	ck_assert_uint_gt(number("SELECT count(*) " DEAD), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM pack WHERE maker = 3"), 1);
	CK_OK(collect(false, &report));
	ck_assert(!pack_exists(1));
	ck_assert_uint_eq(number("SELECT count(*) " DEAD), 0);
	munmap(b, NPAGES * PAGE_BYTES);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(a_damaged_index_is_not_collected)
{
	static const char *const damages[] = {
		"DELETE FROM extent WHERE snapshot = 2 AND first = 0",
		"UPDATE extent SET count = count - 1 WHERE snapshot = 2 AND first = 0",
		"UPDATE extent SET page = NULL WHERE snapshot = 2 AND page IS NOT NULL",
		"DELETE FROM sqlite_sequence WHERE name = 'page'",
	};
	char *b = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		struct gc_report report;
		uint64_t rows;

		fixture_setup();
		b = leave_garbage(100, 500);
		run_sql(fixture_index, damages[i]);
		rows = number("SELECT count(*) FROM page");
		ck_assert_msg(collect(false, &report) == -EBADMSG, "%s", damages[i]);
		ck_assert_int_eq(collect(true, &report), -EBADMSG);
		ck_assert_uint_eq(number("SELECT count(*) FROM page"), rows);
		munmap(b, NPAGES * PAGE_BYTES);
		fixture_teardown();
	}
}
END_TEST

START_TEST(one_collector_at_a_time)
{
	AUTO(locks_close_at) struct locks *locks = NULL;
	struct gc_report report;

	fixture_setup();
	CK_OK(locks_open(fixture_dir, true, &locks));
	CK_OK(locks_take_collector(locks));
	ck_assert_int_eq(collect(false, &report), -EBUSY);
	CK_OK(collect(true, &report));
	locks_drop_collector(locks);
	CK_OK(collect(false, &report));
	locks_close(TAKE_PTR(locks));
	fixture_teardown();
}
END_TEST

/* What is free in index.db goes back to the file system. */
START_TEST(the_index_shrinks)
{
	struct gc_report report;
	struct stat after;
	uint64_t pages;
	char path[128];

	fixture_setup();
	snprintf(path, sizeof(path), "%s/index.db", fixture_dir);
	run_sql(fixture_index,
		"INSERT INTO pack (maker) VALUES (0);"
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
		"INSERT INTO page (hash, pack, offset, length) SELECT i * 7919, 1, 64 * i, 64 "
		"FROM n");
	pages = number("PRAGMA page_count");
	CK_OK(collect(false, &report));
	stat(path, &after);
	ck_assert_uint_eq(report.pages, 20000);
	ck_assert_uint_eq(number("PRAGMA freelist_count"), 0);
	ck_assert_uint_lt((uint64_t)after.st_size, pages * 4096 / 4);
	ck_assert_uint_eq(findings(), 0);
	fixture_teardown();
}
END_TEST

UNIT_MAIN("gc", what_is_named_stays_and_the_rest_goes, no_snapshot_misses_a_page_over_many_rounds,
	  what_an_import_names_in_between_stays, marks_follow_an_import, marks_follow_a_draft,
	  a_pack_that_is_named_in_between_stays_for_another_round, who_has_it_open_reads_on,
	  a_damaged_page_is_not_moved, a_pack_worth_keeping_is_kept, what_was_cut_off_is_garbage,
	  packs_that_are_written_stay, files_the_index_does_not_know_go,
	  what_others_have_open_by_an_older_map_stays, one_maker_alone,
	  a_damaged_index_is_not_collected, one_collector_at_a_time, the_index_shrinks)
