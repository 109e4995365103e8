/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the view do that a shell cannot: view-probe VERB ARGUMENTS.
 * Exits 0 if what was expected happened, else says what did not and exits 1.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/attributes.h"

#define PAGE 4096
#define PATIENCE_MS 20000

static NORETURN PRINTF_LIKE(1, 2) void die(const char *format, ...)
{
	va_list args;

	fputs("view-probe: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static int must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die("open %s: %s", path, strerror(errno));
	return fd;
}

static uint64_t size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		die("fstat: %s", strerror(errno));
	return (uint64_t)st.st_size;
}

static void *must_map(int fd, size_t len, int protection, int flags)
{
	void *map = mmap(NULL, len, protection, flags, fd, 0);

	if (map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return map;
}

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

static int probe_image(char **argv)
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

static int probe_holes(char **argv)
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

static int probe_map(char **argv)
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

/* ---- sealed FILE: opened for writing, it refuses and nobody sees a change ---- */

static void expect_errno(const char *what, long result, int want)
{
	if (result >= 0)
		die("%s succeeded, not %s", what, strerrorname_np(want));
	if (errno != want)
		die("%s gives %s, not %s", what, strerrorname_np(errno), strerrorname_np(want));
}

static int probe_sealed(char **argv)
{
	int reader = must_open(argv[0], O_RDONLY);
	int both = must_open(argv[0], O_RDWR);
	int writer = must_open(argv[0], O_WRONLY);
	char before[PAGE];
	char after[PAGE];
	ssize_t len = pread(reader, before, PAGE, 0);
	char *private;

	if (len <= 0 || pread(both, after, PAGE, 0) != len || memcmp(before, after, (size_t)len))
		die("the handle opened for writing reads other bytes");
	expect_errno("pwrite on O_RDWR", pwrite(both, "x", 1, 0), EROFS);
	expect_errno("pwrite on O_WRONLY", pwrite(writer, "x", 1, 0), EROFS);
	expect_errno("ftruncate", ftruncate(both, 0), EROFS);
	expect_errno("ftruncate to the same size", ftruncate(both, (off_t)size_of(both)), EROFS);
	expect_errno("fallocate", fallocate(both, 0, 0, PAGE), EROFS);
	expect_errno("open with O_TRUNC", open(argv[0], O_RDWR | O_TRUNC), EROFS);
	expect_errno("a shared map",
		     (long)(intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, both, 0),
		     ENODEV);
	private = must_map(both, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	memset(private, 'x', (size_t)len);
	if (msync(private, PAGE, MS_SYNC) < 0 || fsync(both) < 0)
		die("msync or fsync: %s", strerror(errno));
	if (pread(reader, after, PAGE, 0) != len || memcmp(before, after, (size_t)len) != 0)
		die("a reader sees what was written to a private map");
	return 0;
}

/* ---- refuse MOUNT SNAPSHOT: everything the view does not do ---- */

static int probe_refuse(char **argv)
{
	char dir[600];
	char mem[700];
	char new[700];
	char sub[700];
	char long_name[400];
	struct timespec times[2] = {{0}, {0}};
	int fd;

	if (chdir(argv[0]) < 0)
		die("chdir: %s", strerror(errno));
	snprintf(dir, sizeof(dir), "%s", argv[1]);
	snprintf(mem, sizeof(mem), "%s/mem", dir);
	snprintf(new, sizeof(new), "%s/new", dir);
	snprintf(sub, sizeof(sub), "%s/mem/x", dir);
	memset(long_name, 'n', 300);
	long_name[300] = '\0';

	expect_errno("create in the root", open("new", O_CREAT | O_RDWR, 0600), EPERM);
	expect_errno("create in a snapshot", open(new, O_CREAT | O_RDWR, 0600), EPERM);
	expect_errno("create of what exists", open(mem, O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	expect_errno("mknod", mknod(new, S_IFREG | 0600, 0), EPERM);
	expect_errno("mkfifo", mkfifo("new", 0600), EPERM);
	expect_errno("mkdir", mkdir("new", 0700), EPERM);
	expect_errno("mkdir of what exists", mkdir(dir, 0700), EEXIST);
	expect_errno("rmdir", rmdir(dir), EPERM);
	expect_errno("rmdir of nothing", rmdir("new"), ENOENT);
	expect_errno("unlink", unlink(mem), EPERM);
	expect_errno("unlink of nothing", unlink(new), ENOENT);
	expect_errno("unlink of a directory", unlink(dir), EISDIR);
	expect_errno("rename of a snapshot", rename(dir, "new"), EPERM);
	expect_errno("rename of a file", rename(mem, new), EPERM);
	expect_errno("symlink", symlink("x", new), EPERM);
	expect_errno("link", link(mem, new), EPERM);
	expect_errno("chmod", chmod(mem, 0600), EPERM);
	expect_errno("chmod of a directory", chmod(dir, 0700), EPERM);
	expect_errno("chown", chown(mem, 1, 1), EPERM);
	expect_errno("utimensat", utimensat(AT_FDCWD, mem, times, 0), EPERM);
	expect_errno("truncate of mem", truncate(mem, 0), EROFS);
	expect_errno("truncate of a directory", truncate(dir, 0), EISDIR);
	expect_errno("open of a directory for writing", open(dir, O_RDWR), EISDIR);
	expect_errno("open of nothing", open("nothing", O_RDONLY), ENOENT);
	expect_errno("a name that is none", open("a b\n", O_RDONLY), ENOENT);
	expect_errno("a name that is too long", open(long_name, O_RDONLY), ENAMETOOLONG);
	expect_errno("a path through a file", open(sub, O_RDONLY), ENOTDIR);
	expect_errno("setxattr", setxattr(mem, "user.x", "y", 1, 0), EOPNOTSUPP);
	expect_errno("getxattr of none", getxattr(mem, "user.x", NULL, 0), ENODATA);
	expect_errno("getxattr with no room", getxattr(".", "user.pagoda.store", mem, 1), ERANGE);

	fd = must_open(mem, O_RDONLY);
	expect_errno("write to a reader", write(fd, "x", 1), EBADF);
	expect_errno("a shared writable map of a reader",
		     (long)(intptr_t)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
	expect_errno("lseek to before the start", lseek(fd, -1, SEEK_DATA), ENXIO);
	expect_errno("lseek to the far end", lseek(fd, INT64_MAX, SEEK_HOLE), ENXIO);
	if (pread(fd, new, 1, INT64_MAX - PAGE) != 0)
		die("a read far behind the end is not empty");
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

static int probe_bad_page(char **argv)
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

static int probe_handles(char **argv)
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

/* ---- replace FILE: a working set written in steps is seen whole or not at all ---- */

#define HEAD "pagoda-workingset 1 page_size=4096\n"

static void expect_content(const char *path, const char *want)
{
	int fd = must_open(path, O_RDONLY);
	char got[512];
	ssize_t n = read(fd, got, sizeof(got));

	if (n != (ssize_t)strlen(want) || memcmp(got, want, (size_t)n) != 0)
		die("%s holds %zd other bytes", path, n);
	close(fd);
}

static int probe_replace(char **argv)
{
	const char *path = argv[0];
	int fd = must_open(path, O_WRONLY | O_TRUNC);
	struct stat st;
	int copy;

	if (write(fd, HEAD "1 1 r\n", strlen(HEAD) + 6) < 0 || close(fd) < 0)
		die("first content: %s", strerror(errno));
	expect_content(path, HEAD "1 1 r\n");

	/* emptied and half written: the old one is there until the close */
	fd = must_open(path, O_RDWR | O_TRUNC);
	copy = dup(fd);
	if (copy < 0 || close(copy) < 0) /* as a shell does before the first byte */
		die("dup: %s", strerror(errno));
	expect_content(path, HEAD "1 1 r\n");
	if (write(fd, HEAD "2 ", strlen(HEAD) + 2) < 0)
		die("write: %s", strerror(errno));
	expect_content(path, HEAD "1 1 r\n");
	expect_errno("fsync of half a line", fsync(fd), EINVAL);
	if (write(fd, "2 w\n", 4) < 0 || fsync(fd) < 0)
		die("second content: %s", strerror(errno));
	expect_content(path, HEAD "2 2 w\n");
	if (close(fd) < 0)
		die("close: %s", strerror(errno));

	fd = must_open(path, O_WRONLY | O_APPEND);
	if (write(fd, "3 3 ", 4) < 0)
		die("append: %s", strerror(errno));
	/* the kernel takes the size of the stored one for the end from here on */
	expect_content(path, HEAD "2 2 w\n");
	if (stat(path, &st) < 0 || write(fd, "r\n", 2) < 0 || close(fd) < 0)
		die("append: %s", strerror(errno));
	expect_content(path, HEAD "2 2 w\n3 3 r\n");

	fd = must_open(path, O_WRONLY | O_TRUNC);
	if (write(fd, "nonsense\n", 9) < 0)
		die("write: %s", strerror(errno));
	expect_errno("close of nonsense", close(fd), EINVAL);
	expect_content(path, HEAD "2 2 w\n3 3 r\n");

	fd = must_open(path, O_WRONLY);
	expect_errno("a working set of more than 64 MiB", pwrite(fd, "x", 1, 64 << 20), EFBIG);
	expect_errno("ftruncate to more than 64 MiB", ftruncate(fd, (64 << 20) + 1), EFBIG);
	close(fd);
	expect_content(path, HEAD "2 2 w\n3 3 r\n");

	if (truncate(path, 0) < 0)
		die("truncate: %s", strerror(errno));
	expect_content(path, "");
	return 0;
}

/* ---- uniform FILE: whatever is under that name, it is one image ---- */

/* Opens and reads FILE, whose bytes are all the same whichever snapshot has the
 * name, again and again until standard input ends. */
static int probe_uniform(char **argv)
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

/* ---- pid DIR, wait PID, wait-view DIR ---- */

static int probe_pid(char **argv)
{
	char text[32] = "";

	if (getxattr(argv[0], "user.pagoda.pid", text, sizeof(text) - 1) < 0)
		die("%s is no view: %s", argv[0], strerror(errno));
	puts(text);
	return 0;
}

static int probe_wait(char **argv)
{
	int fd = (int)syscall(SYS_pidfd_open, atoi(argv[0]), 0);

	if (fd < 0 && errno == ESRCH)
		return 0;
	if (fd < 0 || poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PATIENCE_MS) != 1)
		die("process %s does not end", argv[0]);
	return 0;
}

static int probe_wait_view(char **argv)
{
	char text[32];

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (getxattr(argv[0], "user.pagoda.pid", text, sizeof(text)) > 0)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	die("no view appears on %s", argv[0]);
}

static const struct {
	const char *verb;
	int arguments;
	int (*run)(char **argv);
} verbs[] = {
	{"image", 3, probe_image},     {"holes", 3, probe_holes},
	{"map", 2, probe_map},	       {"sealed", 1, probe_sealed},
	{"refuse", 2, probe_refuse},   {"bad-page", 2, probe_bad_page},
	{"handles", 2, probe_handles}, {"replace", 1, probe_replace},
	{"uniform", 1, probe_uniform}, {"pid", 1, probe_pid},
	{"wait", 1, probe_wait},       {"wait-view", 1, probe_wait_view},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].verb) == 0 && argc - 2 == verbs[i].arguments)
			return verbs[i].run(argv + 2);
	die("no such probe");
}
