/* SPDX-License-Identifier: Apache-2.0 */
/* Repacking, with steps so small that there are many: libdb-small.a. */
#include "config.h"

#include <errno.h>
#include <sys/wait.h>

#include "db/fork.h"
#include "db/gc.h"
#include "db/lock.h"
#include "db/page.h"
#include "db/repack.h"
#include "tests/hook-fixture.h"
#include "tests/index-fixture.h"
#include "tests/unit.h"

#define NPAGES 1200

static void collect(void)
{
	struct gc_request request = {.dry_run = false};
	struct gc_report report;

	CK_OK(gc_run(fixture_index, &request, &report));
}

static int repack(const char *name, enum codec codec, bool dry_run, struct repack_report *ret)
{
	struct repack_request request = {.name = name, .codec = codec, .dry_run = dry_run};

	return repack_snapshot(fixture_index, &request, ret);
}

#define OF_A                                                                                       \
	"FROM page p JOIN extent e ON p.id BETWEEN e.page AND e.page + e.count - 1 "               \
	"WHERE e.snapshot = 1"
/* Places that rows named as one, and name as more than one now. */
#define PARTED                                                                                     \
	"SELECT count(*) FROM (SELECT 1 FROM old o JOIN page p ON p.id = o.id GROUP BY o.pack, "   \
	"o.offset HAVING count(DISTINCT p.pack * 1099511627776 + p.offset) > 1)"

static void remember(void)
{
	ck_assert_int_eq(sqlite3_exec(index_db(fixture_index),
				      "DROP TABLE IF EXISTS temp.old; CREATE TEMP TABLE old AS "
				      "SELECT id, pack, offset FROM page",
				      NULL, NULL, NULL),
			 SQLITE_OK);
}

/* Two images that share pages, as a and b. */
static char *images[2];

/* Mostly pages that compress and are there once. */
static char *make_image(unsigned int seed)
{
	char *image = fixture_image(NPAGES, seed);

	for (uint64_t pgno = 0; pgno < NPAGES; pgno++) {
		char *page = image + pgno * PAGE_BYTES;

		if (pgno % 3 == 0)
			continue;
		for (size_t i = 0; i < PAGE_BYTES; i++)
			page[i] = "memory snapshot "[((unsigned int)rand_r(&seed) >> 8) % 16];
	}
	return image;
}

static void setup(void)
{
	fixture_setup();
	images[0] = make_image(5);
	images[1] = make_image(6);
	memcpy(images[1] + 300UL * PAGE_BYTES, images[0] + 500UL * PAGE_BYTES, 400UL * PAGE_BYTES);
	fixture_import("a", images[0], NPAGES);
	fixture_import("b", images[1], NPAGES);
}

static void teardown(void)
{
	munmap(images[0], NPAGES * PAGE_BYTES);
	munmap(images[1], NPAGES * PAGE_BYTES);
	fixture_teardown();
}

/* In this process, and in one that never saw a row of it before. */
static void compare(void)
{
	for (int again = 0; again < 2; again++) {
		CK_OK(fixture_compare("a", images[0], NPAGES));
		CK_OK(fixture_compare("b", images[1], NPAGES));
		ck_assert_uint_eq(findings(), 0);
		fixture_close();
		fixture_open();
	}
}

static bool has_zstd(void)
{
	enum codec codec;

	return codec_find("zstd", &codec) == 0;
}

START_TEST(a_layer_moves_whole_and_reads_the_same)
{
	struct repack_report said;
	struct repack_report report;
	uint64_t places;

	setup();
	compare();
	ck_assert_uint_eq(number("PRAGMA user_version"), 1);
	remember();
	CK_OK(repack("a", CODEC_ZSTD, true, &said));
	ck_assert_uint_eq(number("SELECT count(*) FROM page WHERE length > 4096"), 0);
	ck_assert_uint_eq(number("PRAGMA user_version"), 1);
	CK_OK(repack("a", CODEC_ZSTD, false, &report));
	ck_assert_uint_gt(report.pages, 100);
	ck_assert_uint_lt(report.after, report.before);
	ck_assert_uint_eq(said.pages, report.pages);
	ck_assert_uint_eq(said.before, report.before);
	ck_assert_uint_eq(said.after, report.after);
	ck_assert_uint_eq(said.packs, report.packs);
	places = number("SELECT count(*) FROM (SELECT DISTINCT pack, offset FROM page "
			"WHERE length > 65536)");
	ck_assert_uint_eq(places, report.pages);
	ck_assert_uint_eq(number("PRAGMA user_version"), 2);
	/* what compresses at all is smaller with zstd; the rest is noise */
	ck_assert_uint_eq(number("SELECT count(*) " OF_A " AND p.length < 4096"), 0);
	ck_assert_uint_eq(number(PARTED), 0);
	/* what they share has moved for both */
	ck_assert_uint_gt(number("SELECT count(*) FROM page p JOIN extent e ON p.id BETWEEN e.page "
				 "AND e.page + e.count - 1 WHERE e.snapshot = 2 "
				 "AND p.length > 65536"),
			  200);
	compare();
	collect();
	compare();
	CK_OK(repack("a", CODEC_ZSTD, false, &report));
	ck_assert_uint_eq(report.pages, 0);
	ck_assert_uint_eq(report.packs, 0);
	CK_OK(repack("a", CODEC_LZ4, false, &report));
	ck_assert_uint_eq(report.pages, places);
	ck_assert_uint_eq(number("SELECT count(*) FROM page WHERE length > 4096"), 0);
	ck_assert_uint_eq(number("PRAGMA user_version"), 2);
	collect();
	compare();
	teardown();
}
END_TEST

static void import_more(struct index *other)
{
	struct index *index = fixture_index;
	struct store *store = fixture_store;
	struct pages *pages = fixture_pages;

	(void)other;
	fixture_open();
	fixture_import("c", images[0], NPAGES);
	fixture_close();
	fixture_index = index;
	fixture_store = store;
	fixture_pages = pages;
}

/* An import names the old place by new rows, while that place is being left. */
START_TEST(what_an_import_shares_in_between_stays)
{
	for (int at = 2; at < 12; at += 3) {
		struct repack_report report;

		setup();
		hook_set(import_more, TRANSACTION_STEP, at);
		CK_OK(repack("a", CODEC_ZSTD, false, &report));
		ck_assert_msg(!hook, "only %d of %d steps, %lu pages", at - hook_countdown, at,
			      report.pages);
		collect();
		compare();
		CK_OK(fixture_compare("c", images[0], NPAGES));
		CK_OK(repack("c", CODEC_ZSTD, false, &report));
		collect();
		compare();
		CK_OK(fixture_compare("c", images[0], NPAGES));
		teardown();
	}
}
END_TEST

static void die(struct index *other)
{
	(void)other;
	_exit(42);
}

START_TEST(what_was_killed_is_gone_on_with)
{
	struct repack_report whole;
	struct repack_report rest;

	for (int at = 1; at < 12; at++) {
		int status;
		pid_t child;

		setup();
		CK_OK(repack("a", CODEC_ZSTD, true, &whole));
		fixture_close();
		child = fork();
		if (child == 0) {
			fixture_open();
			hook_set(die, TRANSACTION_STEP, at);
			(void)!repack("a", CODEC_ZSTD, false, &rest);
			_exit(1);
		}
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
		fixture_open();
		compare();
		CK_OK(repack("a", CODEC_ZSTD, false, &rest));
		/* the first transaction takes a number, the second moves */
		if (at <= 2)
			ck_assert_uint_eq(rest.pages, whole.pages);
		else
			ck_assert_uint_lt(rest.pages, whole.pages);
		ck_assert_uint_gt(rest.pages, 0);
		collect();
		compare();
		teardown();
	}
}
END_TEST

START_TEST(a_damaged_page_stays_and_the_rest_moves)
{
	struct repack_report whole;
	struct repack_report report;
	long offset;

	setup();
	CK_OK(repack("a", CODEC_ZSTD, true, &whole));
	offset = (long)number("SELECT p.offset " OF_A " AND p.length < 4096 AND p.pack = 1 "
			      "ORDER BY p.id LIMIT 1 OFFSET 77");
	pack_flip(1, offset + 1);
	ck_assert_int_eq(repack("a", CODEC_ZSTD, false, &report), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(fail_text(-EBADMSG), "left as they are"));
	ck_assert_uint_eq(report.damaged, 1);
	ck_assert_uint_eq(report.pages, whole.pages - 1);
	ck_assert_int_eq(fixture_compare("a", images[0], NPAGES), -EBADMSG);
	/* put right, all is well */
	pack_flip(1, offset + 1);
	compare();
	CK_OK(repack("a", CODEC_ZSTD, false, &report));
	ck_assert_uint_eq(report.pages, 1);
	compare();
	teardown();
}
END_TEST

/* Every flipped bit of a stored zstd page is noticed, or changes nothing. */
START_TEST(a_flipped_bit_of_a_zstd_page_is_noticed)
{
	struct repack_report report;
	uint64_t pack;
	long offset;
	long length;
	long noticed = 0;

	setup();
	CK_OK(repack("a", CODEC_ZSTD, false, &report));
	compare(); /* and no row of the old place is in a cache */
	offset = (long)number("SELECT p.offset " OF_A " AND p.length > 65536 LIMIT 1 OFFSET 50");
	length = (long)number("SELECT p.length - 65536 " OF_A
			      " AND p.length > 65536 LIMIT 1 OFFSET 50");
	pack = number("SELECT p.pack " OF_A " AND p.length > 65536 LIMIT 1 OFFSET 50");
	for (long i = 0; i < length; i += 3) {
		int r;

		pack_flip(pack, offset + i);
		r = fixture_compare("a", images[0], NPAGES);
		ck_assert(r == 0 || r == -EBADMSG);
		noticed += r == -EBADMSG;
		pack_flip(pack, offset + i);
	}
	ck_assert_int_gt(noticed, length / 4);
	compare();
	teardown();
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
	AUTO(locks_close_at) struct locks *locks = NULL;
	struct repack_report report;
	struct snapshot_row row;

	setup();
	CK_OK(fork_snapshot(fixture_index, "a", "draft", &row));
	ck_assert_int_eq(repack("draft", CODEC_ZSTD, false, &report), -EINVAL);
	ck_assert_ptr_nonnull(strstr(fail_text(-EINVAL), "seal it first"));
	ck_assert_int_eq(repack("draft", CODEC_ZSTD, true, &report), -EINVAL);
	ck_assert_int_eq(repack("nobody", CODEC_ZSTD, false, &report), -ENOENT);
	CK_OK(locks_open(fixture_dir, true, &locks));
	CK_OK(locks_take_collector(locks));
	ck_assert_int_eq(repack("a", CODEC_ZSTD, false, &report), -EBUSY);
	CK_OK(repack("a", CODEC_ZSTD, true, &report));
	locks_drop_collector(locks);
	CK_OK(repack("a", CODEC_ZSTD, false, &report));
	collect();
	locks_close(TAKE_PTR(locks));
	teardown();
}
END_TEST

/* A pack that a removed snapshot left, and the one made for it, go. */
START_TEST(what_was_repacked_can_be_removed)
{
	struct repack_report report;

	setup();
	CK_OK(repack("a", CODEC_ZSTD, false, &report));
	CK_OK(catalog_remove(fixture_index, "a", false));
	CK_OK(fixture_compare("b", images[1], NPAGES));
	collect();
	CK_OK(fixture_compare("b", images[1], NPAGES));
	ck_assert_uint_eq(findings(), 0);
	CK_OK(catalog_remove(fixture_index, "b", false));
	collect();
	ck_assert_uint_eq(number("SELECT count(*) FROM page"), 0);
	ck_assert_uint_eq(number("SELECT count(*) FROM pack"), 0);
	teardown();
}
END_TEST

/* UNIT_MAIN makes main: this is before it. */
static void skip_without_zstd(void) __attribute__((constructor));
static void skip_without_zstd(void)
{
	if (has_zstd())
		return;
	fputs("SKIP: built without libzstd\n", stderr);
	_exit(77);
}

UNIT_MAIN("repack", a_layer_moves_whole_and_reads_the_same, what_an_import_shares_in_between_stays,
	  what_was_killed_is_gone_on_with, a_damaged_page_stays_and_the_rest_moves,
	  a_flipped_bit_of_a_zstd_page_is_noticed, what_cannot_be_is_refused,
	  what_was_repacked_can_be_removed)
