/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/io.h"
#include "handler/source.h"
#include "tests/unit.h"

#define P 4096

static char dir[64];
static char file[128];

/* A file of 8 pages: data in 1 and 2, half a hole in 5. */
static void fresh(void)
{
	unsigned char page[2 * P];
	AUTO_CLOSE int fd = -1;

	strcpy(dir, "/tmp/check-source.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/mem", dir);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	memset(page, 'x', sizeof(page));
	ck_assert_int_eq(io_pwrite_full(fd, page, 2 * P, P), 0);
	ck_assert_int_eq(io_pwrite_full(fd, page, 10, 5 * P + 2000), 0);
	ck_assert_int_eq(ftruncate(fd, 8 * P), 0);
}

static void stale(void)
{
	unlink(file);
	rmdir(dir);
}

START_TEST(opens_a_file_or_the_mem_of_a_directory)
{
	AUTO_SOURCE struct source *plain = NULL;
	AUTO_SOURCE struct source *view = NULL;

	fresh();
	ck_assert_int_eq(source_open(file, &plain), 0);
	ck_assert_int_eq(source_open(dir, &view), 0);
	ck_assert_str_eq(source_path(view), file);
	ck_assert_uint_eq(source_size(plain), 8 * P);
	ck_assert_uint_eq(source_size(view), 8 * P);
	stale();
}
END_TEST

START_TEST(knows_the_holes)
{
	AUTO_SOURCE struct source *source = NULL;
	static const bool holes[8] = {true, false, false, true, true, false, true, true};
	struct stat st;

	fresh();
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(source_open(file, &source), 0);
	for (uint64_t i = 0; i < 8; i++)
		ck_assert_msg(bitmap_get(source_zero(source), i) == holes[i], "page %d", (int)i);
	stale();
}
END_TEST

START_TEST(reads_or_says_why_not)
{
	AUTO_SOURCE struct source *source = NULL;
	unsigned char page[2 * P];

	fresh();
	ck_assert_int_eq(source_open(file, &source), 0);
	source_announce(source_fd(source), 0, 8 * P);
	ck_assert_int_eq(source_read(source, source_fd(source), P, 2 * P, page), 0);
	ck_assert_int_eq(page[0], 'x');
	ck_assert_int_eq(page[2 * P - 1], 'x');
	ck_assert_int_eq(truncate(file, 2 * P + 100), 0);
	ck_assert_int_eq(source_read(source, source_fd(source), P, P, page), 0);
	ck_assert_int_eq(source_read(source, source_fd(source), P, 2 * P, page), -EIO);
	ck_assert_ptr_nonnull(strstr(fail_text(-EIO), file));
	ck_assert_ptr_nonnull(strstr(fail_text(-EIO), "shorter"));
	stale();
}
END_TEST

START_TEST(refuses_what_is_no_image)
{
	struct source *source = NULL;

	fresh();
	ck_assert_int_eq(source_open("/nonexistent", &source), -ENOENT);
	ck_assert_int_eq(source_open("/dev/null", &source), -EINVAL);
	ck_assert_int_eq(truncate(file, P + 1), 0);
	ck_assert_int_eq(source_open(file, &source), -EINVAL);
	ck_assert_int_eq(truncate(file, 0), 0);
	ck_assert_int_eq(source_open(file, &source), -EINVAL);
	stale();
	mkdir(dir, 0700);
	ck_assert_int_eq(source_open(dir, &source), -ENOENT);
	rmdir(dir);
	ck_assert_ptr_null(source);
}
END_TEST

UNIT_MAIN("source", opens_a_file_or_the_mem_of_a_directory, knows_the_holes, reads_or_says_why_not,
	  refuses_what_is_no_image)
