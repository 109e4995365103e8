/* SPDX-License-Identifier: Apache-2.0 */
/* random MEM COPY SEED: all ways to change a file, on both; COPY is a plain file. */
#include "config.h"

#include "tests/draft-probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned int seed;
static char noise[1 << 20];

static void make_noise(size_t len)
{
	unsigned char byte = (unsigned char)rand_r(&seed);
	bool text = rand_r(&seed) % 2;

	for (size_t i = 0; i < len; i++)
		noise[i] = (char)(text ? byte : (unsigned char)rand_r(&seed));
}

static void write_both(const int fds[2], uint64_t off, size_t len)
{
	make_noise(len);
	for (int i = 0; i < 2; i++)
		must_write(fds[i], noise, len, off);
}

static void map_both(const int fds[2], uint64_t off, size_t len)
{
	uint64_t from = off - off % PAGE;

	make_noise(len);
	for (int i = 0; i < 2; i++) {
		size_t span = len + (size_t)(off - from);
		char *map =
			mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], (off_t)from);

		if (map == MAP_FAILED)
			die("mmap: %s", strerror(errno));
		memcpy(map + (off - from), noise, len);
		if (rand_r(&seed) % 2)
			must("msync", msync(map, span, MS_SYNC));
		munmap(map, span);
	}
}

static void zero_both(const int fds[2], uint64_t off, size_t len)
{
	int mode = rand_r(&seed) % 2 ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

	must("fallocate", fallocate(fds[0], mode | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len));
	memset(noise, 0, len);
	must_write(fds[1], noise, len, off);
}

/* From another place of the plain file into both: the kernel's own copies. */
static void copy_both(const int fds[2], uint64_t off, size_t len)
{
	loff_t from = (loff_t)(off / 2);
	bool send = rand_r(&seed) % 2;
	int source = memfd_create("source", 0);

	must_read(fds[1], noise, len, (uint64_t)from);
	must_write(source, noise, len, 0);
	for (int i = 0; i < 2; i++) {
		loff_t to = (loff_t)off;
		off_t at = 0;

		must("lseek", lseek(fds[i], (off_t)off, SEEK_SET));
		while ((size_t)at < len) {
			ssize_t n = send ? sendfile(fds[i], source, &at, len - (size_t)at)
					 : copy_file_range(source, &at, fds[i], &to,
							   len - (size_t)at, 0);

			if (n <= 0 && !send && (errno == EXDEV || errno == EINVAL))
				send = true; /* not between these two file systems */
			else if (n <= 0)
				die("%s: %s", send ? "sendfile" : "copy_file_range",
				    strerror(errno));
			if (send)
				must("lseek", lseek(fds[i], (off_t)off + at, SEEK_SET));
		}
	}
	close(source);
}

static void compare(const int fds[2], uint64_t size)
{
	static char a[1 << 20];
	static char b[1 << 20];

	for (uint64_t at = 0; at < size; at += sizeof(a)) {
		size_t n = size - at < sizeof(a) ? (size_t)(size - at) : sizeof(a);

		must_read(fds[0], a, n, at);
		must_read(fds[1], b, n, at);
		for (size_t i = 0; i < n; i++)
			if (a[i] != b[i])
				die("byte %" PRIu64 " differs", at + i);
	}
}

/* After fsync: a page is a hole if and only if it is zero. */
static void check_holes(int fd, uint64_t size)
{
	static const char zero[PAGE];
	struct stat st;
	uint64_t data = 0;
	char page[PAGE];

	for (uint64_t at = 0; at < size; at += PAGE) {
		off_t to = lseek(fd, (off_t)at, SEEK_DATA);
		bool is_data = to == (off_t)at;

		must_read(fd, page, PAGE, at);
		if (is_data != (memcmp(page, zero, PAGE) != 0))
			die("page %" PRIu64 " is %s", at / PAGE, is_data ? "no hole" : "a hole");
		data += is_data;
	}
	must("fstat", fstat(fd, &st));
	if ((uint64_t)st.st_blocks != data * 8)
		die("st_blocks is %ld, not %" PRIu64, (long)st.st_blocks, data * 8);
}

int probe_random(char **argv)
{
	int fds[2] = {must_open(argv[0], O_RDWR), must_open(argv[1], O_RDWR)};
	uint64_t size = size_of(fds[0]);

	seed = (unsigned int)strtoul(argv[2], NULL, 10);
	for (int i = 0; i < 150; i++) {
		uint64_t off = ((uint64_t)rand_r(&seed) << 12 ^ (uint64_t)rand_r(&seed)) % size;
		size_t len = 1 + (size_t)rand_r(&seed) %
					 (rand_r(&seed) % 4 ? 3 * PAGE : (int)sizeof(noise));

		if (rand_r(&seed) % 2)
			off -= off % PAGE;
		len = len < size - off ? len : (size_t)(size - off);
		switch (rand_r(&seed) % 8) {
		case 0:
			zero_both(fds, off, len);
			break;
		case 1:
		case 2:
			map_both(fds, off, len);
			break;
		case 3:
			copy_both(fds, off, len);
			break;
		default:
			write_both(fds, off, len);
		}
		if (rand_r(&seed) % 10 == 0)
			must("fsync", fsync(fds[0]));
		if (rand_r(&seed) % 20 == 0)
			compare(fds, size);
	}
	must("fsync", fsync(fds[0]));
	compare(fds, size);
	check_holes(fds[0], size);
	return 0;
}
