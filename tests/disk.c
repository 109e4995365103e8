/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls. Each is done and noted under one mutex, so the log has the order in which
 * things happened. Files are known by the descriptor they were opened as, and those
 * open at the start by /proc/self/fd.
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attributes.h"
#include "tests/disk-private.h"

#define FDS_MAX 1024

/* all of it protected by mutex */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool recording;
static unsigned int node_of_fd[FDS_MAX];
static struct disk_failure failing;
static unsigned int calls;
static char failed_what[DISK_PATH_MAX + 32];

/* What libc, or a sanitizer, has under these names. */
static struct {
	int (*open)(const char *, int, ...);
	int (*close)(int);
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*pread)(int, void *, size_t, off_t);
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*pwrite)(int, const void *, size_t, off_t);
	int (*ftruncate)(int, off_t);
	int (*rename)(const char *, const char *);
	int (*unlink)(const char *);
	int (*mkdir)(const char *, mode_t);
	int (*rmdir)(const char *);
} real;

__attribute__((constructor)) static void real_find(void)
{
	real.close = dlsym(RTLD_NEXT, "close");
	real.read = dlsym(RTLD_NEXT, "read");
	real.pread = dlsym(RTLD_NEXT, "pread");
	real.write = dlsym(RTLD_NEXT, "write");
	real.pwrite = dlsym(RTLD_NEXT, "pwrite");
	real.ftruncate = dlsym(RTLD_NEXT, "ftruncate");
	real.rename = dlsym(RTLD_NEXT, "rename");
	real.unlink = dlsym(RTLD_NEXT, "unlink");
	real.mkdir = dlsym(RTLD_NEXT, "mkdir");
	real.rmdir = dlsym(RTLD_NEXT, "rmdir");
	real.open = dlsym(RTLD_NEXT, "open");
}

/* A call may come before the constructor. */
#define REAL(name) (real.name ? real.name : (real_find(), real.name))

static unsigned int node_of(int fd)
{
	return recording && fd >= 0 && fd < FDS_MAX ? node_of_fd[fd] : NO_NODE;
}

/* Is it this call's turn to fail? Sets errno. */
static bool fails(const char *what, const char *path)
{
	calls++;
	if (failing.nth == 0 || calls < failing.nth || (calls > failing.nth && !failing.lasting))
		return false;
	if (calls == failing.nth)
		snprintf(failed_what, sizeof(failed_what), "%s of %s", what, path);
	errno = failing.error;
	return true;
}

/* Where a descriptor leads, without dots and links: room for PATH_MAX. */
static const char *target_of(int fd, char *target)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, PATH_MAX - 1);
	target[MAX(n, 0)] = '\0';
	return disk_log_below(target);
}

static int open_noted(const char *path, const char *rel, int flags, mode_t mode)
{
	char target[PATH_MAX];
	bool is_new = disk_log_node(rel) == NO_NODE && flags & O_CREAT;
	int fd;

	if ((is_new || failing.reads) && fails("open", rel))
		return -1;
	fd = REAL(open)(path, flags, mode);
	if (fd < 0)
		return -1;
	if (fd >= FDS_MAX)
		abort();
	if (is_new)
		disk_log_new(OP_CREATE, rel);
	else if (flags & O_TRUNC)
		disk_log_note(OP_TRUNCATE, disk_log_node(rel), rel);
	rel = target_of(fd, target);
	if (rel)
		node_of_fd[fd] = disk_log_node(rel);
	return fd;
}

int open(const char *path, int flags, ...)
{
	const char *rel;
	mode_t mode;
	va_list args;
	int fd;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (!__atomic_load_n(&recording, __ATOMIC_ACQUIRE))
		return REAL(open)(path, flags, mode);
	pthread_mutex_lock(&mutex);
	rel = recording ? disk_log_below(path) : NULL;
	fd = rel ? open_noted(path, rel, flags, mode) : REAL(open)(path, flags, mode);
	pthread_mutex_unlock(&mutex);
	return fd;
}

int close(int fd)
{
	pthread_mutex_lock(&mutex);
	if (node_of(fd) != NO_NODE)
		node_of_fd[fd] = NO_NODE;
	pthread_mutex_unlock(&mutex);
	return REAL(close)(fd);
}

static bool read_fails(int fd)
{
	unsigned int node;
	bool r;

	pthread_mutex_lock(&mutex);
	node = node_of(fd);
	r = node != NO_NODE && failing.reads && fails("read", disk_log_path(node));
	pthread_mutex_unlock(&mutex);
	return r;
}

ssize_t read(int fd, void *buf, size_t len)
{
	return read_fails(fd) ? -1 : REAL(read)(fd, buf, len);
}

ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	return read_fails(fd) ? -1 : REAL(pread)(fd, buf, len, off);
}

/* Where write() would put it. */
static off_t write_place(int fd)
{
	struct stat st;

	if (fcntl(fd, F_GETFL) & O_APPEND)
		return fstat(fd, &st) == 0 ? st.st_size : 0;
	return lseek(fd, 0, SEEK_CUR);
}

/* off -1: at the place of the descriptor. */
static ssize_t write_noted(int fd, const void *buf, size_t len, off_t off)
{
	unsigned int node;
	off_t at;
	ssize_t n;
	bool fail;

	pthread_mutex_lock(&mutex);
	node = node_of(fd);
	fail = node != NO_NODE && fails("write", disk_log_path(node));
	at = node == NO_NODE || off >= 0 ? off : write_place(fd);
	if (fail)
		len /= 2;
	n = off >= 0 ? REAL(pwrite)(fd, buf, len, off) : REAL(write)(fd, buf, len);
	if (node != NO_NODE && n > 0)
		disk_log_write(node, (uint64_t)at, buf, (size_t)n);
	if (fail) {
		errno = failing.error;
		n = -1;
	}
	pthread_mutex_unlock(&mutex);
	return n;
}

ssize_t write(int fd, const void *buf, size_t len)
{
	return write_noted(fd, buf, len, -1);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	return write_noted(fd, buf, len, off);
}

int ftruncate(int fd, off_t size)
{
	unsigned int node;
	int r = -1;

	pthread_mutex_lock(&mutex);
	node = node_of(fd);
	if (node == NO_NODE || !fails("ftruncate", disk_log_path(node)))
		r = REAL(ftruncate)(fd, size);
	if (node != NO_NODE && r == 0)
		disk_log_note(OP_TRUNCATE, node, disk_log_path(node))->off = (uint64_t)size;
	pthread_mutex_unlock(&mutex);
	return r;
}

int fsync(int fd)
{
	unsigned int node;
	int r = 0;

	pthread_mutex_lock(&mutex);
	node = node_of(fd);
	if (node != NO_NODE && fails("fsync", disk_log_path(node)))
		r = -1;
	else if (node != NO_NODE)
		disk_log_note(OP_SYNC, node, disk_log_path(node));
	pthread_mutex_unlock(&mutex);
	return r;
}

int fdatasync(int fd)
{
	return fsync(fd);
}

static int rename_noted(const char *from, const char *to, const char *from_rel, const char *to_rel)
{
	if (!from_rel || !to_rel || disk_log_parent(from_rel) != disk_log_parent(to_rel)) {
		fprintf(stderr, "tests/disk.c cannot record a rename of %s to %s\n", from, to);
		abort();
	}
	if (fails("rename", from_rel) || REAL(rename)(from, to) < 0)
		return -1;
	disk_log_rename(from_rel, to_rel);
	return 0;
}

int rename(const char *from, const char *to)
{
	const char *from_rel;
	const char *to_rel;
	int r;

	pthread_mutex_lock(&mutex);
	from_rel = recording ? disk_log_below(from) : NULL;
	to_rel = recording ? disk_log_below(to) : NULL;
	r = from_rel || to_rel ? rename_noted(from, to, from_rel, to_rel) : REAL(rename)(from, to);
	pthread_mutex_unlock(&mutex);
	return r;
}

static int remove_noted(int (*call)(const char *), const char *what, const char *path)
{
	const char *rel;
	int r = -1;

	pthread_mutex_lock(&mutex);
	rel = recording ? disk_log_below(path) : NULL;
	if (!rel || !fails(what, rel))
		r = call(path);
	if (rel && r == 0)
		disk_log_unlink(rel);
	pthread_mutex_unlock(&mutex);
	return r;
}

int unlink(const char *path)
{
	return remove_noted(REAL(unlink), "unlink", path);
}

int rmdir(const char *path)
{
	return remove_noted(REAL(rmdir), "rmdir", path);
}

int mkdir(const char *path, mode_t mode)
{
	const char *rel;
	int r = -1;

	pthread_mutex_lock(&mutex);
	rel = recording ? disk_log_below(path) : NULL;
	if (!rel || !fails("mkdir", rel))
		r = REAL(mkdir)(path, mode);
	if (rel && r == 0)
		disk_log_new(OP_MKDIR, rel);
	pthread_mutex_unlock(&mutex);
	return r;
}

/* The same under the names that SQLite calls. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
ssize_t pread64(int fd, void *buf, size_t len, off_t off) __attribute__((alias("pread")));
ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off) __attribute__((alias("pwrite")));
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));

/* What is there at the start, as if just written. */
static int note_existing(const char *path, const struct stat *st, int type, struct FTW *where)
{
	const char *rel = disk_log_below(path);
	unsigned int node;
	char *bytes;
	int fd;

	(void)where;
	if (!rel || rel[0] == '\0')
		return 0;
	node = disk_log_new(type == FTW_D ? OP_MKDIR : OP_CREATE, rel);
	if (type == FTW_D || st->st_size == 0)
		return 0;
	bytes = malloc((size_t)st->st_size);
	fd = REAL(open)(path, O_RDONLY);
	if (!bytes || fd < 0 || REAL(read)(fd, bytes, (size_t)st->st_size) != st->st_size)
		abort();
	REAL(close)(fd);
	disk_log_write(node, 0, bytes, (size_t)st->st_size);
	free(bytes);
	return 0;
}

static void find_open_files(void)
{
	char target[PATH_MAX];

	for (int fd = 0; fd < FDS_MAX; fd++) {
		const char *rel = target_of(fd, target);

		node_of_fd[fd] = rel ? disk_log_node(rel) : NO_NODE;
	}
}

void disk_start(const char *root)
{
	disk_log_begin(root);
	if (nftw(root, note_existing, 16, FTW_PHYS) < 0)
		abort();
	disk_log.first = disk_log.nops;
	find_open_files();
	calls = 0;
	failed_what[0] = '\0';
	__atomic_store_n(&recording, true, __ATOMIC_RELEASE);
}

void disk_mark(unsigned int mark)
{
	pthread_mutex_lock(&mutex);
	disk_log_note(OP_MARK, mark, "");
	pthread_mutex_unlock(&mutex);
}

void disk_stop(void)
{
	failing.nth = 0;
	__atomic_store_n(&recording, false, __ATOMIC_RELEASE);
}

void disk_fail(const struct disk_failure *failure)
{
	pthread_mutex_lock(&mutex);
	failing = *failure;
	calls = 0;
	failed_what[0] = '\0';
	pthread_mutex_unlock(&mutex);
}

const char *disk_has_failed(void)
{
	return failed_what[0] ? failed_what : NULL;
}

unsigned int disk_calls(void)
{
	return calls;
}
