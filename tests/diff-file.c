/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory images and diffs as files, for scripts:
 *
 *	diff-file merge DIFF BASE	writes the data of the diff into the base, as the
 *					rebase tools of machine monitors do: SEEK_DATA,
 *					SEEK_HOLE, sendfile
 *	diff-file holes FILE		prints a line "FIRST COUNT" for each run of pages
 *					that is data
 *	diff-file make OLD NEW FILE	the diff from one image to the other: pages that
 *					differ, zero ones written out
 *	diff-file age FILE PERCENT SEED	changes so many of its pages as a machine does that
 *					goes on: words and records in place, pages filled
 *					anew with what is like others, and some freed
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define RUN_MOST 12

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static off_t size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		err(1, "fstat");
	return st.st_size;
}

/* The next data at or behind *at: 0 at the end. */
static int next_data(int fd, off_t *at, off_t *ret_end)
{
	*at = lseek(fd, *at, SEEK_DATA);
	if (*at < 0 && errno == ENXIO)
		return 0;
	*ret_end = *at < 0 ? -1 : lseek(fd, *at, SEEK_HOLE);
	if (*ret_end < 0)
		err(1, "lseek");
	return 1;
}

static void merge(const char *diff_path, const char *base_path)
{
	int diff = open_file(diff_path, O_RDONLY);
	int base = open_file(base_path, O_WRONLY);
	off_t end;

	if (size_of(diff) != size_of(base))
		errx(1, "%s and %s have different sizes", diff_path, base_path);
	for (off_t at = 0; next_data(diff, &at, &end);) {
		if (lseek(base, at, SEEK_SET) < 0)
			err(1, "%s", base_path);
		while (at < end) /* sendfile moves at */
			if (sendfile(base, diff, &at, (size_t)(end - at)) <= 0)
				err(1, "sendfile");
	}
	close(diff);
	close(base);
}

static void holes(const char *path)
{
	int fd = open_file(path, O_RDONLY);
	off_t end;

	for (off_t at = 0; next_data(fd, &at, &end); at = end)
		printf("%jd %jd\n", (intmax_t)(at / PAGE), (intmax_t)((end - at) / PAGE));
	close(fd);
}

static char *map_file(const char *path, int protection, off_t *ret_size)
{
	int fd = open_file(path, protection & PROT_WRITE ? O_RDWR : O_RDONLY);
	char *bytes;

	*ret_size = size_of(fd);
	bytes = mmap(NULL, (size_t)*ret_size, protection, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	return bytes;
}

static void make(const char *old_path, const char *new_path, const char *path)
{
	off_t old_size;
	off_t size;
	char *old = map_file(old_path, PROT_READ, &old_size);
	char *new = map_file(new_path, PROT_READ, &size);
	int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);

	if (old_size != size)
		errx(1, "%s and %s have different sizes", old_path, new_path);
	if (ftruncate(fd, size) < 0)
		err(1, "%s", path);
	for (off_t off = 0; off < size; off += PAGE)
		if (memcmp(old + off, new + off, PAGE) != 0 &&
		    pwrite(fd, new + off, PAGE, off) != PAGE)
			err(1, "%s", path);
	close(fd);
}

static unsigned int below(unsigned int *seed, unsigned int limit)
{
	return (unsigned int)rand_r(seed) % limit;
}

/* Counters, pointers, list heads. */
static void touch_words(char *page, unsigned int *seed)
{
	for (unsigned int n = 1 + below(seed, 40); n > 0; n--) {
		uint64_t word = UINT64_C(0xffff888000000000) + (uint64_t)below(seed, 65536) * 64;

		memcpy(page + below(seed, PAGE / 8) * 8, &word, sizeof(word));
	}
}

static void write_text(char *page, unsigned int *seed)
{
	static const char *const words[] = {"GET",  "/index",  "kernel:", "info", "status=", "200",
					    "user", "session", "error",	  "usec", "host",    "\n"};
	size_t at = 0;

	while (at < PAGE - 32) {
		at += (size_t)snprintf(page + at, PAGE - at, "%s ", words[below(seed, 12)]);
		if (below(seed, 3) == 0)
			at += (size_t)snprintf(page + at, PAGE - at, "%u ", below(seed, 100000));
	}
	memset(page + at, 0, PAGE - at);
}

/* A page of the same kind as another: its records with other numbers in them. */
static void write_like(char *page, const char *other, unsigned int *seed)
{
	memmove(page, other, PAGE);
	for (size_t at = below(seed, 64); at < PAGE - 4; at += 32 + below(seed, 64)) {
		unsigned int number = below(seed, 1U << 20);

		memcpy(page + at, &number, sizeof(number));
	}
}

static void age(const char *path, unsigned int percent, unsigned int seed)
{
	off_t size;
	char *image = map_file(path, PROT_READ | PROT_WRITE, &size);
	unsigned int npages = (unsigned int)(size / PAGE);
	unsigned int left = (unsigned int)((uint64_t)npages * percent / 100);

	while (left > 0) {
		unsigned int run = 1 + below(&seed, RUN_MOST);
		unsigned int first = below(&seed, npages - RUN_MOST);
		unsigned int from = below(&seed, npages - RUN_MOST);
		unsigned int kind = below(&seed, 20);

		for (unsigned int i = 0; i < run && left > 0; i++, left--) {
			char *page = image + (uint64_t)(first + i) * PAGE;
			const char *other = image + (uint64_t)(from + i) * PAGE;

			if (kind < 10)
				touch_words(page, &seed);
			else if (kind < 16)
				write_like(page, other, &seed);
			else if (kind < 18)
				write_text(page, &seed);
			else
				memset(page, 0, PAGE);
		}
	}
	munmap(image, (size_t)size);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	if (strcmp(verb, "merge") == 0 && argc == 4)
		merge(argv[2], argv[3]);
	else if (strcmp(verb, "holes") == 0 && argc == 3)
		holes(argv[2]);
	else if (strcmp(verb, "make") == 0 && argc == 5)
		make(argv[2], argv[3], argv[4]);
	else if (strcmp(verb, "age") == 0 && argc == 5)
		age(argv[2], (unsigned int)atoi(argv[3]), (unsigned int)atoi(argv[4]));
	else
		errx(2, "usage: see the top of diff-file.c");
	return 0;
}
