/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"
#include "bench/place.h"
#include "bench/process.h"

#define ZERO_PERCENT 40
#define COPY_PERCENT 12
#define COPIES 256  /* different pages that the copies are of */
#define RUN_BITS 10 /* a run is shorter than two to that many pages */
#define CHANGED (PAGE / 4)
#define LATER_PERCENT 5

uint64_t image_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Words of one of 64 texts and numbers between: what memory of programs is like. */
static void text_make(uint64_t random, unsigned char *text, size_t len)
{
	static const char *const words[] = {"session ", "inode ",    "buffer ", "/usr/lib/",
					    "value=",	"0x7f00000", "thread ", "page ",
					    "request ", "\0\0\0\0",  "node ",	"\xff\xff\xff",
					    "string ",	"key:",	     "socket ", "\0\0\0\0\0\0\0\0"};
	size_t at = 0;

	while (at < len) {
		uint64_t dice = image_random(&random);
		const char *word = words[dice % ARRAY_SIZE(words)];
		char number[24];
		int n = snprintf(number, sizeof(number), "%-8s%llx ", word,
				 (unsigned long long)(dice >> 40));
		size_t take = MIN((size_t)n, len - at);

		memcpy(text + at, number, take);
		at += take;
	}
}

void image_make_page(uint64_t seed, uint64_t pgno, unsigned char page[PAGE])
{
	uint64_t state = seed * UINT64_C(0x100000001b3) + pgno;
	uint64_t dice = image_random(&state) % 100;

	if (dice < ZERO_PERCENT)
		memset(page, 0, PAGE);
	else if (dice < ZERO_PERCENT + COPY_PERCENT)
		text_make(image_random(&state) % COPIES, page, PAGE);
	else
		text_make(state, page, PAGE);
}

static bool is_zero(const unsigned char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* Opens a new file of size bytes, all hole. */
static int file_new(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail_with(-errno, "cannot make %s: %s", path, strerror(errno));
	if (ftruncate(fd, (off_t)size) < 0) {
		close(fd);
		return fail_with(-errno, "cannot size %s: %s", path, strerror(errno));
	}
	return fd;
}

static int page_write(int fd, const char *path, uint64_t pgno, const unsigned char *page)
{
	int r = is_zero(page) ? 0 : io_pwrite_full(fd, page, PAGE, pgno * PAGE);

	return r < 0 ? fail_with(r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

int image_make(const char *path, uint64_t seed, uint64_t size)
{
	AUTO_CLOSE int fd = file_new(path, size);
	unsigned char page[PAGE];
	int r = fd < 0 ? fd : 0;

	for (uint64_t pgno = 0; r == 0 && pgno < size / PAGE; pgno++) {
		image_make_page(seed, pgno, page);
		r = page_write(fd, path, pgno, page);
	}
	return r;
}

static uint64_t run_length(uint64_t *state)
{
	uint64_t least = UINT64_C(1) << image_random(state) % RUN_BITS;

	return least + image_random(state) % least;
}

int image_make_runs(const char *path, uint64_t seed, uint64_t size, unsigned int zero_percent)
{
	AUTO_CLOSE int fd = file_new(path, size);
	unsigned char page[PAGE];
	uint64_t state = seed;
	uint64_t zeros = 0;
	uint64_t pgno = 0;
	int r = fd < 0 ? fd : 0;

	while (r == 0 && pgno < size / PAGE) {
		uint64_t end = MIN(pgno + run_length(&state), size / PAGE);

		/* the next run is of the kind that has less than its share */
		if (zeros * 100 < pgno * zero_percent) {
			zeros += end - pgno;
			pgno = end;
		}
		for (; r == 0 && pgno < end; pgno++) {
			text_make(image_random(&state), page, PAGE);
			r = page_write(fd, path, pgno, page);
		}
	}
	return r;
}

int image_change(struct image *image, const char *path, uint64_t seed, unsigned int percent)
{
	AUTO_CLOSE int fd = file_new(path, image->size);
	int r = fd < 0 ? fd : 0;

	for (uint64_t pgno = 0; r == 0 && pgno < image->size / PAGE; pgno++) {
		unsigned char *page = image->bytes + pgno * PAGE;
		uint64_t state = seed * UINT64_C(0x100000001b3) + pgno;

		if (image_random(&state) % 100 < percent) {
			size_t part = image_random(&state) % (PAGE / CHANGED);

			text_make(state, page + part * CHANGED, CHANGED);
		}
		r = page_write(fd, path, pgno, page);
	}
	return r;
}

/* The data pages of the image, from page first of the file on. */
static int pages_write(int fd, const char *path, uint64_t first, const struct image *image)
{
	int r = 0;

	for (uint64_t pgno = 0; r == 0 && pgno < image->size / PAGE; pgno++)
		r = page_write(fd, path, first + pgno, image->bytes + pgno * PAGE);
	return r;
}

int image_join(const char *path, const struct image *a, const struct image *b)
{
	AUTO_CLOSE int fd = file_new(path, 2 * (a->size + b->size));
	int r = fd < 0 ? fd : pages_write(fd, path, 0, a);

	return r < 0 ? r : pages_write(fd, path, a->size / PAGE, b);
}

static int bytes_read(const char *path, struct image *image)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_with(-errno, "cannot open %s: %s", path, strerror(errno));
	image->size = (uint64_t)st.st_size;
	image->disk_bytes = (uint64_t)st.st_blocks * 512;
	image->bytes =
		mmap(NULL, image->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (image->bytes == MAP_FAILED) {
		image->bytes = NULL;
		return fail_with(-errno, "no memory for %s: %s", path, strerror(errno));
	}
	n = io_pread_full(fd, image->bytes, image->size, 0);
	if (n != st.st_size)
		return fail_with(n < 0 ? (int)n : -EIO, "cannot read %s", path);
	return 0;
}

int image_load(const char *path, struct image *ret)
{
	struct image image = {.bytes = NULL};
	int r = bytes_read(path, &image);

	if (r < 0) {
		image_free(&image);
		return r;
	}
	for (uint64_t pgno = 0; pgno < image.size / PAGE; pgno++)
		image.zero_pages += is_zero(image.bytes + pgno * PAGE);
	snprintf(image.path, sizeof(image.path), "%s", path);
	*ret = image;
	return 0;
}

void image_free(struct image *image)
{
	if (image->bytes)
		munmap(image->bytes, image->size);
	image->bytes = NULL;
}

static int guest_unpack(const char *dir, const char *a, const char *b)
{
	char packed_a[PATH_MAX];
	char packed_b[PATH_MAX];
	char from[PATH_MAX + 16];
	int r = place_path(packed_a, dir, "guest-a.mem.zst");

	if (r == 0)
		r = place_path(packed_b, dir, "guest-b.from-a.zst");
	if (r < 0)
		return r;
	snprintf(from, sizeof(from), "--patch-from=%s", a);
	r = process_run((const char *const[]){"zstd", "-q", "-d", packed_a, "-o", a, NULL},
			ANYWHERE, NULL);
	if (r < 0)
		return r;
	return process_run((const char *const[]){"zstd", "-q", "-d", "--long=28", from, packed_b,
						 "-o", b, NULL},
			   ANYWHERE, NULL);
}

static int pair_make(const char *a, const char *b, uint64_t size)
{
	struct image image = {.bytes = NULL};
	int r = image_make(a, 1, size);

	if (r == 0)
		r = image_load(a, &image);
	if (r == 0)
		r = image_change(&image, b, 2, LATER_PERCENT);
	image_free(&image);
	return r;
}

int image_find(const char *dir, uint64_t made_size, const char *work, struct image *ret_a,
	       struct image *ret_b)
{
	char a[PATH_MAX];
	char b[PATH_MAX];
	char packed[PATH_MAX];
	bool is_made;
	int r = place_path(a, work, "a.mem");

	if (r == 0)
		r = place_path(b, work, "b.mem");
	if (r == 0)
		r = place_path(packed, dir ? dir : "", "guest-a.mem.zst");
	if (r < 0)
		return r;
	is_made = !dir || access(packed, R_OK) < 0 || !process_is_installed("zstd");
	r = is_made ? pair_make(a, b, made_size) : guest_unpack(dir, a, b);
	if (r == 0)
		r = image_load(a, ret_a);
	if (r == 0)
		r = image_load(b, ret_b);
	if (r == 0)
		ret_a->is_made = ret_b->is_made = is_made;
	return r;
}
