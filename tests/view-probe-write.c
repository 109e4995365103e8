/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing: what is refused, and the one file that can be replaced.
 */
#include "config.h"

#include "tests/view-probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- sealed FILE: opened for writing, it refuses and nobody sees a change ---- */

int probe_sealed(char **argv)
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

static void refuse_attributes(const char *dir, const char *mem)
{
	/* VFS_CAP_REVISION_2, CAP_NET_RAW */
	static const unsigned char capability[20] = {[3] = 2, [5] = 0x20};
	struct timespec times[2] = {{0}, {0}};

	expect_errno("chmod", chmod(mem, 0600), EPERM);
	expect_errno("chmod u+s", chmod(mem, 04440), EPERM);
	expect_errno("chmod g+s", chmod(mem, 02440), EPERM);
	expect_errno("a capability",
		     setxattr(mem, "security.capability", capability, sizeof(capability), 0),
		     EOPNOTSUPP);
	expect_errno("chmod of a directory", chmod(dir, 0700), EPERM);
	expect_errno("chown", chown(mem, 1, 1), EPERM);
	expect_errno("utimensat", utimensat(AT_FDCWD, mem, times, 0), EPERM);
	must("chown to nobody else", chown(mem, (uid_t)-1, (gid_t)-1));
	must("chown of a directory to nobody else", chown(dir, (uid_t)-1, (gid_t)-1));
}

int probe_refuse(char **argv)
{
	char dir[600];
	char mem[700];
	char new[700];
	char sub[700];
	char long_name[400];
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
	refuse_attributes(dir, mem);
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

int probe_replace(char **argv)
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

/* ---- hold-writer STORE: nobody else writes to it until standard input ends ---- */

int probe_hold_writer(char **argv)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
	char path[600];
	char byte;

	snprintf(path, sizeof(path), "%s/lock", argv[0]);
	if (fcntl(must_open(path, O_RDWR), F_OFD_SETLKW, &lock) < 0)
		die("lock: %s", strerror(errno));
	puts("holding");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

/* ---- empty FILE: by its name; truncate(1) opens it ---- */

int probe_empty(char **argv)
{
	if (truncate(argv[0], 0) < 0)
		die("truncate: %s", strerror(errno));
	return 0;
}
