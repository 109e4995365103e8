/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers against images in memory: what each layer keeps, page by page, and that the
 * merged image, the digests and the counts are right however many there are.
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "db/check.h"
#include "db/image.h"
#include "db/sql.h"
#include "tests/layer-fixture.h"
#include "tests/unit.h"

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
		enum run_kind kind = map_run_kind(map, map_find(map, pgno));

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

static const char *first_pack(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/packs/1.pack", fixture_dir);
	return path;
}

/* Imports a over "a", of which not all can be read: what cannot is kept once more, and
 * the layer is whole. Returns how many pages that were. */
static uint64_t kept_again(const char *name, const char *a)
{
	struct snapshot_row row;

	fixture_close(); /* nor does this process remember */
	fixture_open();
	CK_OK(import_over(name, fixture_file(a, NPAGES, false), "a", false, &row));
	ck_assert_uint_eq(row.layer_zero, 0);
	CK_OK(fixture_compare(name, a, NPAGES));
	return row.layer_data;
}

/* Pages of "a" whose blocks do not end before that byte of its pack. */
static uint64_t pages_behind(uint64_t off)
{
	int64_t n;

	CK_OK(sql_number(fixture_index,
			 "SELECT count(*) FROM extent, page ON page.id >= extent.page AND "
			 "page.id < extent.page + extent.count WHERE snapshot = 1 AND "
			 "offset + length > ?1",
			 (int64_t)off, &n));
	return (uint64_t)n;
}

START_TEST(what_the_parent_has_lost_is_kept_again)
{
	char *a = fixture_image(NPAGES, 110);
	uint64_t pages;
	uint64_t bad;
	struct stat st;
	int fd;

	/* no page twice: long stretches of blocks that are read at once */
	for (uint64_t pgno = 0; pgno < NPAGES; pgno++)
		memcpy(a + pgno * PAGE_BYTES, &pgno, sizeof(pgno));
	fixture_setup();
	pages = fixture_import("a", a, NPAGES).data_pages;
	ck_assert_uint_eq(kept_again("whole", a), 0);
	ck_assert_int_eq(stat(first_pack(), &st), 0);
	ck_assert_int_eq(truncate(first_pack(), st.st_size / 2), 0);
	bad = kept_again("cut", a);
	ck_assert_uint_eq(bad, pages_behind((uint64_t)st.st_size / 2));
	ck_assert_uint_lt(bad, pages);
	fd = open(first_pack(), O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "damaged", 7, st.st_size / 4), 7);
	close(fd);
	ck_assert_uint_gt(kept_again("damaged", a), bad);
	unlink(first_pack());
	ck_assert_uint_eq(kept_again("gone", a), pages);
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

/* Its map is proved while the import goes on: that is told, whatever else it has met,
 * and nothing is left of it. */
START_TEST(a_parent_that_is_not_what_was_sealed_ends_the_import)
{
	static const char *const damages[][2] = {
		{"UPDATE page SET hash = hash + 1 WHERE id = 7",
		 "a: its map is not what was sealed: the digest of its pages differs"},
		{"DELETE FROM page WHERE id = 7", "a: page row 7 is missing"},
		{"UPDATE snapshot SET layer_digest = zeroblob(16)", "a: its two digests differ"},
	};
	char *a = fixture_image(NPAGES, 120);

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		int64_t left;

		fixture_setup();
		fixture_import("a", a, NPAGES);
		CK_OK(sql_do(fixture_index, damages[i][0]));
		refused(fixture_file(a, NPAGES, true), "a", false, -EBADMSG, damages[i][1]);
		refused(diff_file(a), "a", true, -EBADMSG, damages[i][1]);
		refused(pipe_of(a, BYTES, NULL), "a", false, -EBADMSG, damages[i][1]);
		CK_OK(sql_number(fixture_index, "SELECT count(*) FROM snapshot", 0, &left));
		ck_assert_int_eq(left, 1);
		CK_OK(sql_number(fixture_index, "SELECT count(*) FROM extent WHERE snapshot <> 1",
				 0, &left));
		ck_assert_int_eq(left, 0);
		CK_OK(sql_number(fixture_index, "SELECT count(*) FROM pack", 0, &left));
		ck_assert_int_eq(left, 1);
		fixture_teardown();
	}
	munmap(a, BYTES);
}
END_TEST

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

UNIT_MAIN("layers", a_layer_keeps_what_differs, layers_stack, what_is_equal_costs_nothing,
	  a_diff_is_taken_by_its_holes, what_the_parent_has_lost_is_kept_again,
	  what_does_not_fit_is_refused, a_parent_that_is_not_what_was_sealed_ends_the_import,
	  a_damaged_page_of_the_parent_is_not_counted_on)
