/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to drafts through a view, where a shell cannot: draft-probe VERB ARGUMENTS.
 * Exits 0 if what was expected happened, else says what did not and exits 1.
 */
#include "config.h"

#include "tests/draft-probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- edges MEM: what has an errno, and what does not change ---- */

static void edges_end(int fd, uint64_t size)
{
	char buf[2 * PAGE];
	int append;
	char path[64];

	memset(buf, 'e', sizeof(buf));
	expect_errno("pwrite at the end", pwrite(fd, buf, 1, (off_t)size), EFBIG);
	expect_errno("pwrite behind the end", pwrite(fd, buf, PAGE, (off_t)size + 5 * PAGE), EFBIG);
	expect_errno("pwrite at 2^63-1", pwrite(fd, buf, PAGE, INT64_MAX), EINVAL);
	expect_errno("pwrite before 2^63-1", pwrite(fd, buf, 1, INT64_MAX - PAGE), EFBIG);
	if (pwrite(fd, buf, sizeof(buf), (off_t)(size - 10)) != 10)
		die("a write over the end is not cut there");
	if (pread(fd, buf, sizeof(buf), (off_t)(size - 10)) != 10 || memcmp(buf, "eeeeeeeeee", 10))
		die("what was written before the end is not there");
	if (pread(fd, buf, 1, (off_t)size) != 0 || pread(fd, buf, 1, INT64_MAX - PAGE) != 0)
		die("there is something behind the end");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	append = must_open(path, O_WRONLY | O_APPEND);
	expect_errno("O_APPEND", write(append, "x", 1), EFBIG);
	close(append);
	expect_errno("SEEK_DATA at the end", lseek(fd, (off_t)size, SEEK_DATA), ENXIO);
	expect_errno("SEEK_HOLE behind it", lseek(fd, (off_t)size + 1, SEEK_HOLE), ENXIO);
}

/* chown(2) with -1 and -1 asks for nothing. */
static void edges_owner(const char *path, int fd)
{
	char before[PAGE];
	char after[PAGE];

	memset(before, 'o', sizeof(before));
	must_write(fd, before, PAGE, 0);
	must("chown to nobody else", chown(path, (uid_t)-1, (gid_t)-1));
	must("fchown to nobody else", fchown(fd, (uid_t)-1, (gid_t)-1));
	must_read(fd, after, PAGE, 0);
	if (memcmp(before, after, PAGE) != 0)
		die("a chown that asks for nothing has changed the file");
	expect_errno("chown", chown(path, 1, 1), EPERM);
}

static void edges_size(const char *path, int fd, uint64_t size)
{
	must("ftruncate to its size", ftruncate(fd, (off_t)size));
	must("truncate to its size", truncate(path, (off_t)size));
	expect_errno("ftruncate to more", ftruncate(fd, (off_t)size + 1), EPERM);
	expect_errno("ftruncate to less", ftruncate(fd, (off_t)size - PAGE), EPERM);
	expect_errno("ftruncate to 2^63-1", ftruncate(fd, INT64_MAX), EPERM);
	expect_errno("truncate to less", truncate(path, 5), EPERM);
	expect_errno("fallocate", fallocate(fd, 0, 0, PAGE), EOPNOTSUPP);
	expect_errno("fallocate with KEEP_SIZE", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PAGE),
		     EOPNOTSUPP);
	expect_errno("COLLAPSE_RANGE", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE),
		     EOPNOTSUPP);
	expect_errno("ZERO_RANGE over the end",
		     fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)size - PAGE, 2 * PAGE), EOPNOTSUPP);
	must("PUNCH_HOLE behind the end",
	     fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)size, PAGE));
	if (size_of(fd) != size)
		die("the size has changed");
}

static void edges_names(const char *path)
{
	char name[4096];

	expect_errno("O_CREAT|O_EXCL of mem", open(path, O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	close(must_open(path, O_CREAT | O_WRONLY));
	snprintf(name, sizeof(name), "%s-new", path);
	expect_errno("O_CREAT|O_EXCL of another name", open(name, O_CREAT | O_EXCL | O_RDWR, 0600),
		     EPERM);
	expect_errno("rename", rename(path, name), EPERM);
	expect_errno("unlink", unlink(path), EPERM);
}

static int probe_edges(char **argv)
{
	int fd = must_open(argv[0], O_RDWR);
	int reader = must_open(argv[0], O_RDONLY);
	uint64_t size = size_of(fd);

	edges_end(fd, size);
	edges_owner(argv[0], fd);
	edges_size(argv[0], fd, size);
	edges_names(argv[0]);
	expect_errno("write to what is open for reading", write(reader, "x", 1), EBADF);
	must("fsync", fsync(fd));
	return 0;
}

/* ---- maps MEM: shared and private maps ---- */

static int probe_maps(char **argv)
{
	int fd = must_open(argv[0], O_RDWR);
	int reader = must_open(argv[0], O_RDONLY);
	size_t size = (size_t)size_of(fd);
	char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char before[8];
	char found[8];

	if (shared == MAP_FAILED || private == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	must_read(fd, before, 8, 9 * PAGE);
	memcpy(private + 9 * PAGE, "private!", 8);
	must_read(reader, found, 8, 9 * PAGE);
	if (memcmp(found, before, 8) != 0)
		die("a private map has changed the file");
	memcpy(shared + 10 * PAGE + 7, "shared!!", 8);
	must_read(reader, found, 8, 10 * PAGE + 7);
	if (memcmp(found, "shared!!", 8) != 0)
		die("a reader does not see what a shared map changed");
	must("msync", msync(shared, size, MS_SYNC));
	must_write(fd, "written!", 8, 11 * PAGE + 1);
	if (memcmp(shared + 11 * PAGE + 1, "written!", 8) != 0)
		die("a shared map does not see what was written");
	if (lseek(reader, 10 * PAGE, SEEK_DATA) != 10 * PAGE)
		die("after msync the page is a hole");
	memcpy(shared + 12 * PAGE, "unmapped", 8);
	close(fd);
	munmap(shared, size);
	must_read(reader, found, 8, 12 * PAGE);
	if (memcmp(found, "unmapped", 8) != 0)
		die("what was written before munmap is gone");
	return 0;
}

/* ---- zero MEM: truncation to nothing makes zeros, for who has it mapped too ---- */

static void all_zero(int fd, const char *map, size_t size, const char *after)
{
	static char buf[1 << 20];

	for (size_t at = 0; at < size; at += sizeof(buf)) {
		size_t n = size - at < sizeof(buf) ? size - at : sizeof(buf);

		must_read(fd, buf, n, at);
		for (size_t i = 0; i < n; i++)
			if (buf[i] || map[at + i])
				die("byte %zu is not zero after %s", at + i, after);
	}
	expect_errno("SEEK_DATA", lseek(fd, 0, SEEK_DATA), ENXIO);
}

static int probe_zero(char **argv)
{
	int fd = must_open(argv[0], O_RDWR);
	size_t size = (size_t)size_of(fd);
	char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	static char buf[1 << 20];

	memset(buf, 'z', sizeof(buf));
	for (int how = 0; how < 3; how++) {
		for (size_t at = 0; at + sizeof(buf) <= size; at += sizeof(buf))
			must_write(fd, buf, sizeof(buf), at);
		if (map[size / 2] != 'z')
			die("the map does not show what was written");
		if (how == 0)
			must("ftruncate", ftruncate(fd, 0));
		else if (how == 1)
			must("truncate", truncate(argv[0], 0));
		else
			close(must_open(argv[0], O_WRONLY | O_CREAT | O_TRUNC));
		if (size_of(fd) != size)
			die("the size is %" PRIu64 " now", size_of(fd));
		all_zero(fd, map, size, how == 0 ? "ftruncate" : how == 1 ? "truncate" : "O_TRUNC");
	}
	must("fsync", fsync(fd));
	return 0;
}

/* ---- hold MEM how: keeps it open ("fd") or only mapped ("map") until stdin ends ---- */

static int probe_hold(char **argv)
{
	int fd = must_open(argv[0], O_RDWR);
	char byte;

	if (strcmp(argv[1], "map") == 0) {
		char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (map == MAP_FAILED)
			die("mmap: %s", strerror(errno));
		close(fd);
		map[0] ^= 1;
	}
	puts("held");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

/* ---- write MEM SEED: rounds of pages; says which are durable. verify MEM LOG ---- */

/* Every word of page pgno in round n. Round 0 is what was there before. */
static void fill(uint64_t *page, uint64_t pgno, uint64_t n)
{
	for (size_t i = 0; i < PAGE / sizeof(*page); i++)
		page[i] = pgno << 32 | n;
}

static uint64_t round_of(const uint64_t *page, uint64_t pgno)
{
	for (size_t i = 1; i < PAGE / sizeof(*page); i++)
		if (page[i] != page[0])
			die("page %" PRIu64 " is mixed", pgno);
	if (page[0] >> 32 != pgno)
		die("page %" PRIu64 " is another", pgno);
	return page[0] & UINT32_MAX;
}

/* Round after round writes some pages and syncs them, and says "FIRST COUNT ROUND" when
 * the sync has returned; for ever. */
static int probe_write(char **argv)
{
	int fd = must_open(argv[0], O_RDWR);
	uint64_t npages = size_of(fd) / PAGE;
	uint64_t page[PAGE / 8];
	uint64_t first = strtoull(argv[2], NULL, 10);
	unsigned int seed = (unsigned int)strtoul(argv[1], NULL, 10);

	for (uint64_t n = first + 1;; n++) {
		size_t count = rand_r(&seed) % 4 ? 1 + (size_t)rand_r(&seed) % 5
						 : 100 + (size_t)rand_r(&seed) % 200;
		uint64_t start = (uint64_t)rand_r(&seed) % (npages - count);

		for (size_t i = 0; i < count; i++) {
			fill(page, start + i, n);
			must_write(fd, page, PAGE, (start + i) * PAGE);
		}
		must("fsync", fsync(fd));
		printf("%" PRIu64 " %zu %" PRIu64 "\n", start, count, n);
		if (fflush(stdout) != 0)
			return 0;
	}
}

/* The lines of LOG are what was acknowledged: no page may be older. */
static int probe_verify(char **argv)
{
	int fd = must_open(argv[0], O_RDONLY);
	uint64_t npages = size_of(fd) / PAGE;
	uint64_t *acked = calloc(npages, sizeof(*acked));
	FILE *log = fopen(argv[1], "r");
	uint64_t page[PAGE / 8];
	uint64_t newest = 0;
	uint64_t start;
	uint64_t count;
	uint64_t n;

	if (!log || !acked)
		die("%s: %s", argv[1], strerror(errno));
	while (fscanf(log, "%" SCNu64 " %" SCNu64 " %" SCNu64 "\n", &start, &count, &n) == 3)
		for (uint64_t i = start; i < start + count && i < npages; i++)
			acked[i] = n;
	for (uint64_t i = 0; i < npages; i++) {
		uint64_t found;

		must_read(fd, page, PAGE, i * PAGE);
		found = round_of(page, i);
		if (found < acked[i])
			die("page %" PRIu64 " is of round %" PRIu64 ", and %" PRIu64
			    " was acknowledged",
			    i, found, acked[i]);
		newest = found > newest ? found : newest;
	}
	printf("%" PRIu64 "\n", newest);
	return 0;
}

/* ---- image FILE PAGES: what write begins with ---- */

static int probe_image(char **argv)
{
	int fd = must_open(argv[0], O_RDWR | O_CREAT | O_TRUNC);
	uint64_t page[PAGE / 8];

	for (uint64_t i = 0; i < strtoull(argv[1], NULL, 10); i++) {
		fill(page, i, 0);
		must_write(fd, page, PAGE, i * PAGE);
	}
	return 0;
}

/* ---- full MEM ERRNO: writes until fsync fails, and says how many bytes it did not.
 * A byte on stdin says that there is room now; its end that there will be none ---- */

static int probe_full(char **argv)
{
	int fd = must_open(argv[0], O_RDWR);
	uint64_t size = size_of(fd);
	int want = strcmp(argv[1], "EFBIG") == 0 ? EFBIG : ENOSPC;
	static char noise[1 << 20];
	unsigned int seed = 1;

	for (uint64_t at = 0; at + sizeof(noise) <= size; at += sizeof(noise)) {
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (char)rand_r(&seed);
		if (pwrite(fd, noise, sizeof(noise), (off_t)at) != (ssize_t)sizeof(noise) ||
		    fsync(fd) < 0) {
			if (errno != want)
				die("it fails with %s", strerrorname_np(errno));
			expect_errno("another fsync", fsync(fd), want);
			printf("%" PRIu64 "\n", at);
			fflush(stdout);
			/* it stays written for who reads */
			must_read(fd, noise + 100, PAGE, at);
			if (getchar() == EOF) { /* there will be none */
				expect_errno("close", close(fd), want);
				return 0;
			}
			must("fsync with room", fsync(fd));
			must("close with room", close(fd));
			return 0;
		}
	}
	die("there is room for everything");
}

/* ---- lost MEM: fills it through a shared map, which there is no room for. What it
 * cannot write is gone then; says so, and at a byte on stdin stores what is there ---- */

static int probe_lost(char **argv)
{
	int fd = must_open(argv[0], O_RDWR);
	size_t size = (size_t)size_of(fd);
	uint32_t *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t x = 7;

	if (map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (size_t i = 0; i < size / sizeof(*map); i++) {
		x = x * 1664525 + 1013904223;
		map[i] = x;
	}
	expect_errno("msync", msync(map, size, MS_SYNC), ENOSPC);
	puts("lost");
	fflush(stdout);
	if (getchar() == EOF)
		die("nobody made room");
	must("munmap", munmap(map, size));
	must("fsync with room", fsync(fd));
	must("close with room", close(fd));
	return 0;
}

static const struct {
	const char *verb;
	int arguments;
	int (*run)(char **argv);
} verbs[] = {
	{"edges", 1, probe_edges},   {"maps", 1, probe_maps},	{"zero", 1, probe_zero},
	{"random", 3, probe_random}, {"hold", 2, probe_hold},	{"write", 3, probe_write},
	{"verify", 2, probe_verify}, {"image", 2, probe_image}, {"full", 2, probe_full},
	{"lost", 1, probe_lost},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].verb) == 0 && argc - 2 == verbs[i].arguments)
			return verbs[i].run(argv + 2);
	die("no such probe");
}
