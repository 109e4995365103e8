/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes write and checkpoint one store. SQLite before 3.51.3 can damage an index
 * where a checkpoint meets a reset of the log, so each of both must hold the writer
 * lock: every checkpoint of this program looks whether it is held, from outside.
 */
#include "config.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "db/check.h"
#include "db/sql.h"
#include "db/transaction.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define WRITER_BYTE 1 /* of STORE/lock, see db/lock.c */
#define NPAGES 40

static unsigned int checkpoints;
static unsigned int unlocked;

/* Does somebody hold the writer lock? An open file of its own sees also our locks. */
static bool writer_is_locked(void)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITER_BYTE, .l_len = 1};
	char path[128];
	AUTO_CLOSE int fd = -1;

	snprintf(path, sizeof(path), "%s/lock", fixture_dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
}

int __real_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done);
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done);

int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done)
{
	checkpoints++;
	unlocked += !writer_is_locked();
	return __real_sqlite3_wal_checkpoint_v2(db, name, mode, log, done);
}

static int rounds_get(void)
{
	return getenv("PAGODA_LONG") ? 20000 : 200;
}

/* Notes, each a commit and a checkpoint, and steps, which leave the log to grow. */
static int write_on(int cpu, const char *name)
{
	cpu_set_t one;
	char note[32];
	int r = store_open(fixture_dir, &fixture_store);

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	if (r == 0)
		r = index_open(fixture_store, &fixture_index);
	for (int i = 0; r == 0 && i < rounds_get(); i++) {
		AUTO(transaction_end_at) struct index *open = NULL;

		snprintf(note, sizeof(note), "%d", i);
		r = catalog_note(fixture_index, name, note);
		if (r == 0)
			r = transaction_begin(fixture_index, TRANSACTION_STEP, &open);
		if (r == 0)
			r = sql_do(fixture_index, "UPDATE store SET created_ns = created_ns + 1");
		if (r == 0)
			r = transaction_commit(&open);
	}
	if (r < 0)
		fprintf(stderr, "%s: %s\n", name, fail_text(r));
	fixture_close();
	return r < 0 || unlocked > 0 || checkpoints == 0;
}

static void tell_finding(void *context, const char *snapshot, const char *what)
{
	(void)context;
	ck_abort_msg("check: %s: %s", snapshot, what);
}

static void check_note(const char *name, int64_t commits)
{
	struct snapshot_row row;
	char note[32];

	snprintf(note, sizeof(note), "%d", (int)commits - 1);
	CK_OK(catalog_find(fixture_index, name, &row));
	ck_assert_str_eq(row.note, note);
}

START_TEST(every_checkpoint_holds_the_writer_lock)
{
	struct check_request request = {.read_percent = 100, .found = tell_finding};
	static const char *const names[] = {"a", "b"};
	struct check_report report;
	char *image = fixture_image(NPAGES, 60);
	int64_t before = 0;
	int64_t after = 0;

	fixture_setup();
	fixture_import("a", image, NPAGES);
	fixture_import("b", image, NPAGES);
	CK_OK(sql_number(fixture_index, "SELECT created_ns FROM store", 0, &before));
	ck_assert_uint_gt(checkpoints, 0);
	ck_assert_uint_eq(unlocked, 0);
	ck_assert(!writer_is_locked());
	fixture_close();
	for (int i = 0; i < 2; i++)
		if (fork() == 0)
			_exit(write_on(i, names[i]));
	for (int i = 0; i < 2; i++) {
		int status;

		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	fixture_open();
	check_note("a", rounds_get());
	check_note("b", rounds_get());
	CK_OK(sql_number(fixture_index, "SELECT created_ns FROM store", 0, &after));
	ck_assert_int_eq(after - before, 2 * (int64_t)rounds_get());
	CK_OK(check_store(fixture_index, &request, &report));
	CK_OK(fixture_compare("a", image, NPAGES));
	fixture_teardown();
	munmap(image, NPAGES * PAGE_BYTES);
}
END_TEST

UNIT_MAIN("writers", every_checkpoint_holds_the_writer_lock)
