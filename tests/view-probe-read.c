/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: all ways to the bytes of a view.
 */
#include "config.h"

#include "tests/view-probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- image FILE PAGES SEED: runs of random data, zeros and holes ---- */

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fill_page(char page[PAGE], uint64_t *state)
{
	for (size_t i = 0; i < PAGE; i += sizeof(uint64_t)) {
		/* the first half is noise, so that pages differ; the rest compresses */
		uint64_t word = i < PAGE / 2 ? random_next(state) | 1 : 0x2020202020202020;

		memcpy(page + i, &word, sizeof(word));
	}
}

int probe_image(char **argv)
{
	int fd = must_open(argv[0], O_RDWR | O_CREAT | O_TRUNC);
	uint64_t npages = strtoull(argv[1], NULL, 10);
	uint64_t state = strtoull(argv[2], NULL, 10) * 2654435761U + 1;
	char page[PAGE];

	if (ftruncate(fd, (off_t)(npages * PAGE)) < 0)
		die("ftruncate: %s", strerror(errno));
	for (uint64_t pgno = 0; pgno < npages;) {
		uint64_t kind = random_next(&state) % 3;
		uint64_t count = 1 + random_next(&state) % 40;

		for (; count > 0 && pgno < npages; count--, pgno++) {
			memset(page, 0, sizeof(page));
			if (kind == 0)
				continue;
			if (kind == 1)
				fill_page(page, &state);
			if (pwrite(fd, page, PAGE, (off_t)(pgno * PAGE)) != PAGE)
				die("pwrite: %s", strerror(errno));
		}
	}
	return 0;
}

/* ---- holes FILE IMAGE mem|diff: the map by lseek is exact ---- */

static bool is_zero(const char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* What lseek must answer at off; -1 for ENXIO. */
static off_t expected(const char *image, uint64_t size, bool all_data, off_t off, int whence)
{
	for (uint64_t at = (uint64_t)off; at < size; at = (at / PAGE + 1) * PAGE) {
		bool data = all_data || !is_zero(image + at / PAGE * PAGE);

		if (data == (whence == SEEK_DATA))
			return (off_t)at;
	}
	return whence == SEEK_HOLE && (uint64_t)off < size ? (off_t)size : -1;
}

int probe_holes(char **argv)
{
	int fd = must_open(argv[0], O_RDONLY);
	int image_fd = must_open(argv[1], O_RDONLY);
	bool all_data = strcmp(argv[2], "diff") == 0; /* of a base: zeros are explicit */
	uint64_t size = size_of(image_fd);
	const char *image = must_map(image_fd, size, PROT_READ, MAP_SHARED);

	if (size_of(fd) != size)
		die("%s has another size", argv[0]);
	for (off_t off = 0; off < (off_t)(size + 2 * PAGE); off += PAGE / 2 + 1)
		for (int whence = SEEK_DATA; whence <= SEEK_HOLE; whence++) {
			off_t want = expected(image, size, all_data, off, whence);
			off_t got = lseek(fd, off, whence);

			if (got != want || (got < 0 && errno != ENXIO))
				die("lseek(%jd, %s) is %jd, not %jd", (intmax_t)off,
				    whence == SEEK_DATA ? "SEEK_DATA" : "SEEK_HOLE", (intmax_t)got,
				    (intmax_t)want);
		}
	return 0;
}

/* ---- map FILE IMAGE: shared and private maps ---- */

int probe_map(char **argv)
{
	int fd = must_open(argv[0], O_RDONLY);
	int image_fd = must_open(argv[1], O_RDONLY);
	uint64_t size = size_of(image_fd);
	const char *image = must_map(image_fd, size, PROT_READ, MAP_SHARED);
	const char *shared = must_map(fd, size, PROT_READ, MAP_SHARED);
	char *private = must_map(fd, size, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	for (uint64_t off = 0; off < size; off += PAGE)
	private[off] = (char)~private[off];
	if (memcmp(shared, image, size) != 0)
		die("the shared map differs from %s", argv[1]);
	for (uint64_t off = 0; off < size; off += PAGE)
	private[off] = (char)~private[off];
	if (memcmp(private, image, size) != 0)
		die("the private map differs from %s", argv[1]);
	return 0;
}

/* ---- bad-page FILE PGNO: that page is EIO and SIGBUS, its neighbours are fine ---- */

static sigjmp_buf after_sigbus;

static void on_sigbus(UNUSED int signal)
{
	siglongjmp(after_sigbus, 1);
}

static bool touch_faults(const volatile char *at)
{
	if (sigsetjmp(after_sigbus, 1))
		return true;
	(void)*at;
	return false;
}

int probe_bad_page(char **argv)
{
	int fd = must_open(argv[0], O_RDONLY);
	uint64_t bad = strtoull(argv[1], NULL, 10);
	uint64_t npages = size_of(fd) / PAGE;
	const char *map = must_map(fd, npages * PAGE, PROT_READ, MAP_SHARED);
	char page[PAGE];

	signal(SIGBUS, on_sigbus);
	for (uint64_t pgno = 0; pgno < npages; pgno++) {
		ssize_t n = pread(fd, page, PAGE, (off_t)(pgno * PAGE));

		if (pgno == bad && (n >= 0 || errno != EIO))
			die("the read of page %ju gives %zd, not EIO", (uintmax_t)pgno, n);
		if (pgno != bad && n != PAGE)
			die("the read of page %ju gives %zd", (uintmax_t)pgno, n);
		if (touch_faults(map + pgno * PAGE) != (pgno == bad))
			die("page %ju %s", (uintmax_t)pgno,
			    pgno == bad ? "can be touched" : "is SIGBUS");
	}
	return 0;
}

/* ---- handles FILE COUNT: that many open at once ---- */

int probe_handles(char **argv)
{
	size_t count = strtoul(argv[1], NULL, 10);
	int *fds = calloc(count, sizeof(*fds));
	char first[PAGE];
	char page[PAGE];

	if (!fds)
		die("out of memory");
	for (size_t i = 0; i < count; i++)
		fds[i] = must_open(argv[0], O_RDONLY);
	if (pread(fds[0], first, PAGE, 0) != PAGE)
		die("pread: %s", strerror(errno));
	for (size_t i = 0; i < count; i++)
		if (pread(fds[i], page, PAGE, 0) != PAGE || memcmp(page, first, PAGE) != 0)
			die("handle %zu reads other bytes", i);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	free(fds);
	return 0;
}

/* ---- uniform FILE: whatever is under that name, it is one image ---- */

/* Opens and reads FILE, whose bytes are all the same whichever snapshot has the
 * name, again and again until standard input ends. */
int probe_uniform(char **argv)
{
	static char buf[1 << 18];
	unsigned int rounds = 0;

	while (poll(&(struct pollfd){.fd = STDIN_FILENO, .events = POLLIN}, 1, 1) == 0) {
		int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

		/* between two snapshots of that name; or it changed hands twice while the
		 * name was looked up, and the kernel tries again only once */
		if (fd < 0 && (errno == ENOENT || errno == ESTALE))
			continue;
		if (n != (ssize_t)sizeof(buf))
			die("%s: %s gives %zd: %s", argv[0], fd < 0 ? "open" : "read", n,
			    strerror(errno));
		if (memcmp(buf, buf + 1, sizeof(buf) - 1) != 0)
			die("%s holds bytes of two snapshots", argv[0]);
		close(fd);
		rounds++;
	}
	if (rounds == 0)
		die("%s was never there", argv[0]);
	return 0;
}
