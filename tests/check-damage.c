/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage: whatever bit of a store is wrong, what it gives out is right or an error.
 *
 * PAGODA_LONG=1 does the full counts; the seed is printed, and taken from
 * PAGODA_SEED.
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "db/check.h"
#include "db/sql.h"
#include "db/transaction.h"
#include "tests/chance.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define NPAGES 400

struct file {
	char path[128];
	size_t len;
	char *bytes;
};

static struct file file_load(const char *name)
{
	struct file file;
	FILE *in;

	snprintf(file.path, sizeof(file.path), "%s/%s", fixture_dir, name);
	in = fopen(file.path, "r");
	ck_assert_msg(in != NULL, "%s", file.path);
	fseek(in, 0, SEEK_END);
	file.len = (size_t)ftell(in);
	rewind(in);
	file.bytes = malloc(file.len + 1);
	ck_assert_uint_eq(fread(file.bytes, 1, file.len, in), file.len);
	fclose(in);
	return file;
}

static void file_store(const struct file *file)
{
	FILE *out = fopen(file->path, "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(file->bytes, 1, file->len, out), file->len);
	ck_assert_int_eq(fclose(out), 0);
}

static void remove_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fixture_dir, name);
	unlink(path);
}

static uint64_t findings;

static void count_finding(void *context, const char *snapshot, const char *what)
{
	(void)context;
	(void)snapshot;
	(void)what;
	findings++;
}

/* 0: opened and every byte right; else the error. Other bytes fail the test, and
 * so does an error that check does not find. */
static int look(const char *name, const char *image)
{
	struct check_request request = {.read_percent = 100, .found = count_finding};
	struct check_report report;
	int r = store_open(fixture_dir, &fixture_store);

	if (r < 0)
		return r;
	findings = 0;
	r = index_open(fixture_store, &fixture_index);
	if (r == 0)
		r = pages_open(fixture_index, &fixture_pages);
	if (r == 0)
		r = fixture_compare(name, image, NPAGES);
	if (r < 0 && fixture_index) {
		int checked = check_store(fixture_index, &request, &report);

		ck_assert_msg(checked < 0 || findings > 0, "error %d, and check finds nothing", r);
	}
	fixture_close();
	return r;
}

static bool check_finds(void)
{
	struct check_request request = {.read_percent = 100, .found = count_finding};
	struct check_report report;

	findings = 0;
	fixture_open();
	CK_OK(check_store(fixture_index, &request, &report));
	fixture_close();
	return findings > 0;
}

/* Flips one bit in rounds rounds; returns how many were noticed. */
static int flip_bits(struct file *file, const char *also, const char *image, int rounds,
		     unsigned int *seed)
{
	int noticed = 0;

	for (int round = 0; round < rounds; round++) {
		size_t at = (size_t)rand_r(seed) % file->len;
		char bit = (char)(1 << rand_r(seed) % 8);

		file->bytes[at] ^= bit;
		file_store(file);
		remove_file("index.db-shm");
		if (also)
			remove_file(also);
		noticed += look("a", image) < 0;
		file->bytes[at] ^= bit;
	}
	file_store(file);
	return noticed;
}

START_TEST(a_flipped_bit_of_the_index_gives_no_wrong_byte)
{
	unsigned int seed = (unsigned int)chance_seed();
	char *image = fixture_image(NPAGES, 30);
	struct file file;

	fixture_setup();
	fixture_import("a", image, NPAGES);
	fixture_close();
	file = file_load("index.db");
	ck_assert_int_gt(flip_bits(&file, "index.db-wal", image, chance_rounds(400, 5000), &seed),
			 0);
	ck_assert_int_eq(look("a", image), 0);
	free(file.bytes);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_open();
	fixture_teardown();
}
END_TEST

START_TEST(a_flipped_bit_of_a_pack_is_always_noticed)
{
	unsigned int seed = (unsigned int)chance_seed();
	char *image = fixture_image(NPAGES, 31);
	int rounds = chance_rounds(200, 1000);
	struct file file;

	fixture_setup();
	fixture_import("a", image, NPAGES);
	fixture_close();
	file = file_load("packs/1.pack");
	/* every byte of a pack belongs to its header or to a page; a block may decode to
	 * the same page all the same */
	ck_assert_int_ge(flip_bits(&file, NULL, image, rounds, &seed), rounds * 9 / 10);
	ck_assert_int_eq(look("a", image), 0);
	/* cut short, and gone */
	file.len -= 1;
	file_store(&file);
	ck_assert_int_eq(look("a", image), -EBADMSG);
	remove_file("packs/1.pack");
	ck_assert_int_eq(look("a", image), -EBADMSG);
	free(file.bytes);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_open();
	fixture_teardown();
}
END_TEST

/* A store whose last commit is only in the log: a reader in the log keeps the
 * checkpoint from emptying it. */
static void make_log(const char *image)
{
	AUTO(index_close_at) struct index *reader = NULL;
	int64_t n;

	fixture_import("a", image, NPAGES);
	CK_OK(index_open(fixture_store, &reader));
	CK_OK(sql_do(reader, "BEGIN"));
	CK_OK(sql_number(reader, "SELECT count(*) FROM page", 0, &n));
	CK_OK(catalog_rename(fixture_index, "a", "b"));
	CK_OK(catalog_note(fixture_index, "b", "in the log"));
	fixture_close();
}

START_TEST(a_damaged_or_missing_log_is_noticed)
{
	unsigned int seed = (unsigned int)chance_seed();
	char *image = fixture_image(NPAGES, 32);
	struct file index;
	struct file log;

	fixture_setup();
	make_log(image);
	index = file_load("index.db");
	log = file_load("index.db-wal");
	ck_assert_uint_gt(log.len, 0);
	ck_assert_int_eq(look("b", image), 0);
	for (int round = 0; round < chance_rounds(150, 1000); round++) {
		size_t at = (size_t)rand_r(&seed) % log.len;
		int r;

		log.bytes[at] ^= 4;
		file_store(&index);
		file_store(&log);
		remove_file("index.db-shm");
		/* a lost commit would show the snapshot under its old name */
		r = look("b", image);
		ck_assert_int_ne(r, -ENOENT);
		log.bytes[at] ^= 4;
	}
	/* cut short anywhere: its last commit is gone, and that is told */
	for (int round = 0; round < chance_rounds(100, 1000); round++) {
		struct file part = log;

		part.len = (size_t)rand_r(&seed) % log.len;
		file_store(&index);
		file_store(&part);
		remove_file("index.db-shm");
		ck_assert_int_eq(look("b", image), -EBADMSG);
	}
	file_store(&index);
	remove_file("index.db-wal");
	remove_file("index.db-shm");
	ck_assert_int_eq(look("b", image), -EBADMSG);
	free(log.bytes);
	free(index.bytes);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_remove();
}
END_TEST

static void edit(const char *sql)
{
	sqlite3 *db;
	char path[128];
	char *error = NULL;

	snprintf(path, sizeof(path), "%s/index.db", fixture_dir);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_exec(db, sql, NULL, NULL, &error);
	ck_assert_msg(error == NULL, "%s: %s", sql, error);
	sqlite3_close(db);
}

/* Edits that keep the index well-formed: only the digest, or the schema, tells. */
static const char *const damaging[] = {
	"UPDATE extent SET page = page + 1 WHERE first = (SELECT max(first) FROM extent "
	"WHERE page IS NOT NULL AND count > 1)",
	"UPDATE extent SET page = NULL WHERE first = (SELECT min(first) FROM extent WHERE "
	"page IS NOT NULL)",
	"UPDATE extent SET count = count - 1 WHERE first = (SELECT max(first) FROM extent)",
	"UPDATE extent SET count = count + 1 WHERE first = (SELECT min(first) FROM extent)",
	"UPDATE extent SET count = 9223372036854775807",
	"UPDATE extent SET first = -1 WHERE first = (SELECT max(first) FROM extent)",
	"UPDATE extent SET page = 9223372036854775000 WHERE page IS NOT NULL",
	"UPDATE page SET hash = hash + 1 WHERE id = 3",
	"UPDATE page SET offset = (SELECT offset FROM page WHERE id = 4), length = "
	"(SELECT length FROM page WHERE id = 4), hash = (SELECT hash FROM page WHERE id = "
	"4) WHERE id = 3",
	"UPDATE page SET length = 0 WHERE id = 3",
	"UPDATE page SET length = 4294967296 WHERE id = 3",
	"UPDATE page SET length = 5000 WHERE id = 3",
	"UPDATE page SET offset = 9223372036854775807 WHERE id = 3",
	"UPDATE page SET offset = 0 WHERE id = 3",
	"UPDATE page SET pack = 4294967297 WHERE id = 3",
	"UPDATE page SET pack = 77 WHERE id = 3",
	"DELETE FROM page WHERE id = 3",
	"UPDATE snapshot SET data_pages = data_pages - 1",
	"UPDATE snapshot SET layer_data = layer_data - 1, layer_zero = layer_zero + 1",
	"UPDATE snapshot SET size = size + 4096",
	"UPDATE snapshot SET size = 9223372036854771712",
	"UPDATE snapshot SET page_size = 65536",
	"UPDATE snapshot SET digest = zeroblob(16), layer_digest = zeroblob(16)",
	"UPDATE snapshot SET digest = NULL",
	"UPDATE snapshot SET data_pages = data_pages - 1, layer_data = layer_data - 1, "
	"layer_zero = layer_zero + 1",
	"UPDATE snapshot SET state = 3",
	"UPDATE snapshot SET parent = id",
	"UPDATE snapshot SET parent = 77",
	"CREATE TRIGGER t AFTER INSERT ON page BEGIN DELETE FROM extent; END",
	"ALTER TABLE snapshot RENAME TO s; CREATE VIEW snapshot AS SELECT * FROM s",
	"CREATE TABLE more (a)",
	"DROP INDEX page_hash",
	"DELETE FROM store",
	"UPDATE store SET uuid = zeroblob(16)",
	"UPDATE store SET generation = generation - 1",
	"PRAGMA application_id = 7",
	"PRAGMA user_version = 0",
};
/* what only check notices: today's bytes are right */
static const char *const harmless[] = {
	"UPDATE sqlite_sequence SET seq = 0 WHERE name = 'page'",
	"UPDATE sqlite_sequence SET seq = 0 WHERE name = 'snapshot'",
	"DELETE FROM sqlite_sequence WHERE name = 'pack'",
	"INSERT INTO page VALUES (9000, 1, 77, 64, 10)",
	"INSERT INTO page VALUES (9000, 1, 1, 64, 9999)",
};

/* Puts the good index back. */
static void restore_index(const struct file *good)
{
	file_store(good);
	remove_file("index.db-wal");
	remove_file("index.db-shm");
}

START_TEST(an_index_that_says_something_else_is_refused)
{
	char *image = fixture_image(NPAGES, 33);
	struct file file;

	fixture_setup();
	fixture_import("a", image, NPAGES);
	fixture_close();
	file = file_load("index.db");
	for (size_t i = 0; i < ARRAY_SIZE(damaging); i++) {
		int r;

		edit(damaging[i]);
		r = look("a", image);
		ck_assert_msg(r == -EBADMSG, "%s: %d (%s)", damaging[i], r, fail_text(r));
		restore_index(&file);
	}
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
		edit(harmless[i]);
		CK_OK(look("a", image));
		ck_assert_msg(check_finds(), "%s: check finds nothing", harmless[i]);
		restore_index(&file);
	}
	edit("PRAGMA user_version = 3");
	ck_assert_int_eq(look("a", image), -EPROTONOSUPPORT);
	restore_index(&file);
	ck_assert_int_eq(look("a", image), 0);
	free(file.bytes);
	munmap(image, NPAGES * PAGE_BYTES);
	fixture_open();
	fixture_teardown();
}
END_TEST

UNIT_MAIN("damage", a_flipped_bit_of_the_index_gives_no_wrong_byte,
	  a_flipped_bit_of_a_pack_is_always_noticed, a_damaged_or_missing_log_is_noticed,
	  an_index_that_says_something_else_is_refused)
