/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers against images in memory: what each layer keeps, page by page, and that the
 * merged image, the digests and the counts are right however many there are.
 */
#include "config.h"

#include <errno.h>
#include <time.h>

#include "db/check.h"
#include "db/compare.h"
#include "db/digest.h"
#include "db/image.h"
#include "db/resolve.h"
#include "db/sql.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define NPAGES 3000
#define BYTES (NPAGES * PAGE_BYTES)

static const char zero_page[PAGE_BYTES];

static void found_none(void *context, const char *snapshot, const char *what)
{
	(void)context;
	ck_abort_msg("check found: %s: %s", snapshot, what);
}

static void check_all(void)
{
	struct check_request request = {.read_percent = 100, .found = found_none};
	struct check_report report;

	CK_OK(check_store(fixture_index, &request, &report));
}

static int import_over(const char *name, int fd, const char *parent, bool is_diff,
		       struct snapshot_row *ret)
{
	struct import_request request = {.name = name,
					 .image_fd = fd,
					 .image = "image",
					 .parent = parent,
					 .is_diff = is_diff};
	int r = import_image(fixture_store, &request, ret);

	close(fd);
	return r;
}

static bool page_differs(const char *a, const char *b, uint64_t pgno)
{
	return memcmp(a + pgno * PAGE_BYTES, b + pgno * PAGE_BYTES, PAGE_BYTES) != 0;
}

static bool is_zero(const char *image, uint64_t pgno)
{
	return memcmp(image + pgno * PAGE_BYTES, zero_page, PAGE_BYTES) == 0;
}

/* The image with some pages zeroed, filled, moved or changed in a byte. */
static char *changed_image(const char *from, unsigned int seed)
{
	char *image = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(image, MAP_FAILED);
	memcpy(image, from, BYTES);
	for (uint64_t pgno = 0; pgno < NPAGES; pgno++) {
		char *page = image + pgno * PAGE_BYTES;

		switch (rand_r(&seed) % 24) {
		case 0:
			memset(page, 0, PAGE_BYTES);
			break;
		case 1:
			fixture_fill_page(page, &seed);
			break;
		case 2: /* of another place: known to the store */
			memcpy(page, from + (uint64_t)(rand_r(&seed) % NPAGES) * PAGE_BYTES,
			       PAGE_BYTES);
			break;
		case 3:
			page[PAGE_BYTES - 1] ^= 1;
			break;
		case 4: /* a stretch of another place */
			for (unsigned int n = 0; n < 40 && pgno + n < NPAGES; n++)
				memcpy(page + n * PAGE_BYTES,
				       from + ((pgno + n + 7) % NPAGES) * PAGE_BYTES, PAGE_BYTES);
			break;
		default:
			break;
		}
	}
	return image;
}

/* What a page of a layer is to be. */
typedef enum run_kind expected_kind(const char *image, const char *parent, uint64_t pgno);

static enum run_kind kind_over(const char *image, const char *parent, uint64_t pgno)
{
	if (!page_differs(image, parent, pgno))
		return RUN_ABSENT;
	return is_zero(image, pgno) ? RUN_ZERO : RUN_DATA;
}

/* The layer and its row say of every page what they must. */
static void layer_is(const struct snapshot_row *row, const char *image, const char *parent,
		     expected_kind *expected)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	uint64_t counts[3] = {0};
	uint64_t data = 0;
	const struct map *map;

	CK_OK(snapshot_open(fixture_index, row->id, &snapshot));
	map = snapshot_map(snapshot, MAP_DIFF);
	for (uint64_t pgno = 0; pgno < NPAGES; pgno++) {
		enum run_kind kind = map->runs[map_find(map, pgno)].kind;

		ck_assert_msg(kind == expected(image, parent, pgno), "%s: page %ju is of kind %d",
			      row->name, (uintmax_t)pgno, kind);
		counts[kind]++;
		data += !is_zero(image, pgno);
	}
	ck_assert_uint_eq(row->layer_data, counts[RUN_DATA]);
	ck_assert_uint_eq(row->layer_zero, counts[RUN_ZERO]);
	ck_assert_uint_eq(row->data_pages, data);
	ck_assert_uint_gt(counts[RUN_ABSENT], 0);
}

START_TEST(a_layer_keeps_what_differs)
{
	char *a = fixture_image(NPAGES, 60);

	fixture_setup();
	fixture_import("a", a, NPAGES);
	for (unsigned int i = 0; i < 6; i++) {
		char *b = changed_image(a, 61 + i);
		struct snapshot_row row;
		struct snapshot_row alone;
		char name[16];

		snprintf(name, sizeof(name), "b%u", i);
		CK_OK(import_over(name, fixture_file(b, NPAGES, i % 2), "a", false, &row));
		ck_assert_str_eq(row.parent_name, "a");
		layer_is(&row, b, a, kind_over);
		CK_OK(fixture_compare(name, b, NPAGES));
		/* the merged image is what it is, with or without layers */
		snprintf(name, sizeof(name), "alone%u", i);
		alone = fixture_import(name, b, NPAGES);
		ck_assert_mem_eq(alone.digest, row.digest, DIGEST_BYTES);
		ck_assert_uint_eq(alone.stored_pages, 0);
		munmap(b, BYTES);
	}
	check_all();
	munmap(a, BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(layers_stack)
{
	char *images[12];
	char name[16] = "base";
	char parent[16];

	fixture_setup();
	images[0] = fixture_image(NPAGES, 70);
	fixture_import(name, images[0], NPAGES);
	for (unsigned int i = 1; i < ARRAY_SIZE(images); i++) {
		struct snapshot_row row;

		strcpy(parent, name);
		snprintf(name, sizeof(name), "layer%u", i);
		images[i] = changed_image(images[i - 1], 70 + i);
		CK_OK(import_over(name, fixture_file(images[i], NPAGES, i % 3), parent, false,
				  &row));
		layer_is(&row, images[i], images[i - 1], kind_over);
	}
	fixture_close(); /* without what this process remembers */
	fixture_open();
	CK_OK(fixture_compare("base", images[0], NPAGES));
	for (unsigned int i = 1; i < ARRAY_SIZE(images); i++) {
		snprintf(name, sizeof(name), "layer%u", i);
		CK_OK(fixture_compare(name, images[i], NPAGES));
	}
	check_all();
	for (unsigned int i = 0; i < ARRAY_SIZE(images); i++)
		munmap(images[i], BYTES);
	fixture_teardown();
}
END_TEST

/* An image that is equal costs nothing at all; one that is all zero becomes zero
 * runs only where the parent has data. */
START_TEST(what_is_equal_costs_nothing)
{
	char *a = fixture_image(NPAGES, 80);
	char *none = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct snapshot_row row;
	int64_t before;
	int64_t after;

	fixture_setup();
	fixture_import("a", a, NPAGES);
	CK_OK(sql_number(fixture_index, "SELECT count(*) FROM page", 0, &before));
	CK_OK(import_over("same", fixture_file(a, NPAGES, false), "a", false, &row));
	ck_assert_uint_eq(row.layer_data + row.layer_zero, 0);
	CK_OK(sql_number(fixture_index, "SELECT count(*) FROM extent WHERE snapshot = ?1",
			 (int64_t)row.id, &after));
	ck_assert_int_eq(after, 0);
	CK_OK(import_over("none", fixture_file(none, NPAGES, true), "a", false, &row));
	layer_is(&row, none, a, kind_over);
	CK_OK(import_over("none2", fixture_file(none, NPAGES, false), "a", false, &row));
	layer_is(&row, none, a, kind_over);
	CK_OK(sql_number(fixture_index, "SELECT count(*) FROM page", 0, &after));
	ck_assert_int_eq(before, after);
	CK_OK(fixture_compare("same", a, NPAGES));
	CK_OK(fixture_compare("none", none, NPAGES));
	check_all();
	munmap(a, BYTES);
	munmap(none, BYTES);
	fixture_teardown();
}
END_TEST

/* Pages of the diff that test-by-test are data; the others are holes. */
static bool in_diff[NPAGES];

static enum run_kind kind_of_diff(const char *image, const char *parent, uint64_t pgno)
{
	(void)parent;
	if (!in_diff[pgno])
		return RUN_ABSENT;
	return is_zero(image, pgno) ? RUN_ZERO : RUN_DATA;
}

/* A file with the pages that are in_diff, zero ones written out. */
static int diff_file(const char *image)
{
	int fd = memfd_create("diff", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, BYTES), 0);
	for (uint64_t i = 0; i < NPAGES; i++)
		if (in_diff[i])
			ck_assert_int_eq(pwrite(fd, image + i * PAGE_BYTES, PAGE_BYTES,
						(off_t)(i * PAGE_BYTES)),
					 PAGE_BYTES);
	return fd;
}

/* Data is of the layer, whatever the parent has there: zeros too, and pages that are
 * equal; and only a hole is the parent's. */
START_TEST(a_diff_is_taken_by_its_holes)
{
	char *a = fixture_image(NPAGES, 90);
	unsigned int seed = 91;

	fixture_setup();
	fixture_import("a", a, NPAGES);
	for (unsigned int i = 0; i < 4; i++) {
		char *b = changed_image(a, 92 + i);
		struct snapshot_row row;
		char name[16];

		for (uint64_t pgno = 0; pgno < NPAGES; pgno++)
			in_diff[pgno] = page_differs(a, b, pgno) || rand_r(&seed) % 9 == 0;
		in_diff[0] = i % 2;
		in_diff[NPAGES - 1] = i / 2;
		if (!in_diff[0])
			memcpy(b, a, PAGE_BYTES);
		if (!in_diff[NPAGES - 1])
			memcpy(b + BYTES - PAGE_BYTES, a + BYTES - PAGE_BYTES, PAGE_BYTES);
		snprintf(name, sizeof(name), "diff%u", i);
		CK_OK(import_over(name, diff_file(b), "a", true, &row));
		layer_is(&row, b, a, kind_of_diff);
		CK_OK(fixture_compare(name, b, NPAGES));
		munmap(b, BYTES);
	}
	check_all();
	munmap(a, BYTES);
	fixture_teardown();
}
END_TEST

/* The read end of a pipe that gives the data, then ends; or, with *ret_held, when the
 * caller closes that. */
static int pipe_of(const char *data, size_t len, int *ret_held)
{
	int ends[2];
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		_exit(write(ends[1], data, len) == (ssize_t)len ? 0 : 1);
	}
	ck_assert_int_gt(child, 0);
	if (ret_held)
		*ret_held = ends[1];
	else
		close(ends[1]);
	return ends[0];
}

static void refused(int fd, const char *parent, bool is_diff, int error, const char *words)
{
	struct snapshot_row row;
	int r = import_over("refused", fd, parent, is_diff, &row);

	ck_assert_int_eq(r, error);
	ck_assert_msg(strstr(fail_text(r), words) != NULL, "'%s' is not in '%s'", words,
		      fail_text(r));
	ck_assert_int_eq(catalog_find(fixture_index, "refused", &row), -ENOENT);
}

START_TEST(what_does_not_fit_is_refused)
{
	static const char *const sizes[] = {"has 12283904 bytes, its parent 'a' has 12288000",
					    "has 12292096 bytes, its parent 'a' has 12288000"};
	uint64_t npages = NPAGES + 2 * WINDOW_PAGES;
	char *a = fixture_image(npages, 100);
	int64_t leftovers;
	int held;

	fixture_setup();
	fixture_import("a", a, NPAGES);
	refused(fixture_file(a, NPAGES, true), "b", false, -ENOENT, "no snapshot 'b'");
	for (int diff = 0; diff < 2; diff++) {
		refused(fixture_file(a, NPAGES - 1, true), "a", diff, -EINVAL, sizes[0]);
		refused(fixture_file(a, NPAGES + 1, true), "a", diff, -EINVAL, sizes[1]);
	}
	refused(pipe_of(a, BYTES - PAGE_BYTES, NULL), "a", false, -EINVAL, sizes[0]);
	/* at once, not at its end */
	refused(pipe_of(a, npages * PAGE_BYTES, &held), "a", false, -EINVAL,
		"or more, its parent 'a' has");
	close(held);
	refused(pipe_of(a, BYTES, NULL), "a", true, -EINVAL, "image cannot have holes");
	CK_OK(sql_do(fixture_index, "UPDATE snapshot SET state = 1, digest = NULL, "
				    "layer_digest = NULL WHERE name = 'a'"));
	refused(fixture_file(a, NPAGES, true), "a", false, -EINVAL, "'a' is a draft: seal it");
	CK_OK(sql_number(fixture_index, "SELECT count(*) FROM snapshot", 0, &leftovers));
	ck_assert_int_eq(leftovers, 1);
	munmap(a, npages * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

static void pack_damage(unsigned int number)
{
	char path[128];
	char byte;
	FILE *pack;

	snprintf(path, sizeof(path), "%s/packs/%u.pack", fixture_dir, number);
	pack = fopen(path, "r+");
	ck_assert_ptr_nonnull(pack);
	for (long off = 5000; fseek(pack, off, SEEK_SET) == 0 && fread(&byte, 1, 1, pack) == 1;
	     off += 60000) {
		byte = (char)~byte;
		fseek(pack, off, SEEK_SET);
		fwrite(&byte, 1, 1, pack);
	}
	fclose(pack);
}

static uint64_t unreadable_pages(const char *name)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	char page[PAGE_BYTES];
	struct snapshot_row row;
	uint64_t n = 0;

	CK_OK(catalog_find(fixture_index, name, &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot));
	for (uint64_t off = 0; off < row.size; off += PAGE_BYTES)
		n += snapshot_read(snapshot, fixture_pages, MAP_MEM, off, page, PAGE_BYTES) < 0;
	return n;
}

/* What cannot be read of the parent is not the page it was: the layer keeps its own,
 * and no other. */
START_TEST(a_damaged_page_of_the_parent_is_not_counted_on)
{
	char *a = fixture_image(NPAGES, 110);
	struct snapshot_row row;

	fixture_setup();
	fixture_import("a", a, NPAGES);
	fixture_close();
	pack_damage(1);
	fixture_open();
	CK_OK(import_over("b", fixture_file(a, NPAGES, false), "a", false, &row));
	ck_assert_uint_gt(row.stored_pages, 0);
	ck_assert_uint_eq(row.layer_data, unreadable_pages("a"));
	ck_assert_uint_eq(row.layer_zero, 0);
	CK_OK(fixture_compare("b", a, NPAGES));
	munmap(a, BYTES);
	fixture_teardown();
}
END_TEST

/* What compare_snapshots is to find, page by page: kinds, or "equal". */
struct expected {
	const char *a;
	const char *b;
	uint64_t a_pages;
	uint64_t b_pages;
	uint64_t at;	 /* the page behind the last range */
	uint64_t ranges; /* found */
	enum run_kind last_a;
	enum run_kind last_b;
};

static enum run_kind kind_at(const char *image, uint64_t npages, uint64_t pgno)
{
	if (pgno >= npages)
		return RUN_ABSENT;
	return is_zero(image, pgno) ? RUN_ZERO : RUN_DATA;
}

static bool expected_equal(const struct expected *e, uint64_t pgno)
{
	return pgno < e->a_pages && pgno < e->b_pages && !page_differs(e->a, e->b, pgno);
}

static int take_range(void *context, const struct compare_range *range)
{
	struct expected *e = context;

	ck_assert_uint_gt(range->count, 0);
	ck_assert_uint_ge(range->first, e->at);
	if (range->first == e->at && e->ranges > 0) /* else they were one range */
		ck_assert(range->a != e->last_a || range->b != e->last_b);
	for (; e->at < range->first; e->at++)
		ck_assert_msg(expected_equal(e, e->at), "page %ju differs", (uintmax_t)e->at);
	for (; e->at < range->first + range->count; e->at++) {
		ck_assert_msg(!expected_equal(e, e->at), "page %ju is equal", (uintmax_t)e->at);
		ck_assert_int_eq(range->a, kind_at(e->a, e->a_pages, e->at));
		ck_assert_int_eq(range->b, kind_at(e->b, e->b_pages, e->at));
	}
	e->last_a = range->a;
	e->last_b = range->b;
	e->ranges++;
	return 0;
}

static int compare(const char *a, const char *b, compare_found *found, void *context,
		   struct compare_totals *ret)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot_a = NULL;
	AUTO(snapshot_close_at) struct snapshot *snapshot_b = NULL;
	struct snapshot_row row;

	CK_OK(catalog_find(fixture_index, a, &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot_a));
	CK_OK(catalog_find(fixture_index, b, &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot_b));
	return compare_snapshots(fixture_index, fixture_pages, snapshot_a, snapshot_b, found,
				 context, NULL, ret);
}

static void compare_is(const char *a, const char *b, const char *a_image, uint64_t a_pages,
		       const char *b_image, uint64_t b_pages)
{
	struct expected expected = {a_image, b_image, a_pages, b_pages, 0, 0, 0, 0};
	struct compare_totals totals;
	uint64_t differing = 0;

	CK_OK(compare(a, b, take_range, &expected, &totals));
	for (uint64_t pgno = 0; pgno < MAX(a_pages, b_pages); pgno++) {
		if (pgno >= expected.at)
			ck_assert(expected_equal(&expected, pgno));
		differing += !expected_equal(&expected, pgno);
	}
	ck_assert_uint_eq(totals.ranges, expected.ranges);
	ck_assert_uint_eq(totals.changed + totals.filled + totals.zeroed + totals.beyond,
			  differing);
}

START_TEST(comparing_finds_what_differs)
{
	char *a = fixture_image(NPAGES, 120);
	char *b = changed_image(a, 121);
	char *c = changed_image(b, 122);
	struct snapshot_row row;

	fixture_setup();
	fixture_import("a", a, NPAGES);
	CK_OK(import_over("b", fixture_file(b, NPAGES, true), "a", false, &row));
	CK_OK(import_over("c", fixture_file(c, NPAGES, true), "b", false, &row));
	fixture_import("alone", c, NPAGES);
	fixture_import("shorter", b, NPAGES - 700);
	compare_is("a", "b", a, NPAGES, b, NPAGES);
	compare_is("b", "a", b, NPAGES, a, NPAGES);
	compare_is("a", "c", a, NPAGES, c, NPAGES);
	compare_is("c", "c", c, NPAGES, c, NPAGES);
	compare_is("c", "alone", c, NPAGES, c, NPAGES);
	compare_is("a", "shorter", a, NPAGES, b, NPAGES - 700);
	compare_is("shorter", "c", b, NPAGES - 700, c, NPAGES);
	munmap(a, BYTES);
	munmap(b, BYTES);
	munmap(c, BYTES);
	fixture_teardown();
}
END_TEST

static int stop_at_once(void *context, const struct compare_range *range)
{
	(void)range;
	++*(int *)context;
	return -ECANCELED;
}

START_TEST(comparing_ends_with_who_listens)
{
	char *a = fixture_image(NPAGES, 130);
	char *b = changed_image(a, 131);
	struct compare_totals totals;
	int calls = 0;

	fixture_setup();
	fixture_import("a", a, NPAGES);
	fixture_import("b", b, NPAGES);
	ck_assert_int_eq(compare("a", "b", stop_at_once, &calls, &totals), -ECANCELED);
	ck_assert_int_eq(calls, 1);
	munmap(a, BYTES);
	munmap(b, BYTES);
	fixture_teardown();
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
		const struct run *run = &base->runs[map_find(base, from)];

		sqlite3_clear_bindings(insert);
		sql_bind(insert, 1, id);
		sql_bind(insert, 2, pgno);
		if (run->kind == RUN_DATA)
			sql_bind(insert, 3, run->page + (from - run->first));
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
		if (layer->runs[i].kind == RUN_ZERO)
			zero += map_run_end(layer, i) - layer->runs[i].first;
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

UNIT_MAIN("layers", a_thousand_layers_are_one_map, comparing_finds_what_differs,
	  comparing_ends_with_who_listens, a_layer_keeps_what_differs, layers_stack,
	  what_is_equal_costs_nothing, a_diff_is_taken_by_its_holes, what_does_not_fit_is_refused,
	  a_damaged_page_of_the_parent_is_not_counted_on)
