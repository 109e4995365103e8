/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/io.h"
#include "db/store.h"

#define CHUNK_BYTES (1U << 20)
#define LINK_TRIES 16

/* What is written, and whereto. */
struct job {
	const struct snapshot *snapshot;
	struct pages *pages;
	const struct map *map;
	enum map_view view;
	struct progress *progress;
	const char *path;
	int fd;
	bool sparse; /* a file of ours: holes are left out, and it starts out empty */
};

/* One run, at its place; what is no file of ours is positioned at off. */
static int write_data(const struct job *job, uint64_t off, uint64_t end, char *chunk)
{
	while (off < end) {
		size_t n = (size_t)MIN(end - off, (uint64_t)CHUNK_BYTES);
		int r = snapshot_read(job->snapshot, job->pages, job->view, off, chunk, n);

		if (r < 0)
			return r;
		r = job->sparse ? io_pwrite_full(job->fd, chunk, n, off)
				: io_write_full(job->fd, chunk, n);
		if (r < 0)
			return fail_with(r, "%s: %s", job->path, strerror(-r));
		off += n;
		progress_add(job->progress, n);
	}
	return 0;
}

static int write_all(const struct job *job)
{
	const struct map *map = job->map;
	AUTO_FREE char *chunk = malloc(CHUNK_BYTES);
	int r = chunk ? 0 : fail_with(-ENOMEM, "out of memory");

	progress_set_total(job->progress, map->npages * PAGE_BYTES);
	for (size_t i = 0; r == 0 && i < map->nruns; i++) {
		uint64_t off = map_run_first(map, i) * PAGE_BYTES;
		uint64_t end = map_run_end(map, i) * PAGE_BYTES;

		if (job->sparse && map_is_hole(map_run_kind(map, i), job->view))
			progress_add(job->progress, end - off);
		else
			r = write_data(job, off, end, chunk);
	}
	return r;
}

/* Where the file changes from data to hole or back at or behind off, by its file
 * system or by the map; the size where only a hole is left. */
static int edge_of_file(int fd, uint64_t off, bool data, uint64_t size, uint64_t *ret)
{
	off_t at = lseek(fd, (off_t)off, data ? SEEK_DATA : SEEK_HOLE);

	if (at < 0 && errno != ENXIO)
		return -errno;
	*ret = at < 0 ? size : (uint64_t)at;
	return 0;
}

static uint64_t edge_of_map(const struct job *job, uint64_t off, bool data, uint64_t size)
{
	uint64_t at;

	return map_seek(job->map, job->view, off, data, &at) < 0 ? size : at;
}

/* A hole that became data would be zeros over what the parent has, and zeros that
 * became a hole would be what the parent has: so the file has to say what was meant.
 * File systems with blocks larger than a page, or that store zeros as holes, do not. */
static int check_holes(const struct job *job)
{
	uint64_t size = job->map->npages * PAGE_BYTES;
	uint64_t off = 0;

	for (bool data = true; off < size; data = !data) {
		uint64_t want = edge_of_map(job, off, data, size);
		uint64_t found = 0;
		int r = edge_of_file(job->fd, off, data, size, &found);

		if (r < 0)
			return fail_with(r, "%s: looking for holes: %s", job->path, strerror(-r));
		if (found != want)
			return fail_with(-EINVAL,
					 "%s: its file system does not keep holes and zero pages "
					 "apart, at byte %" PRIu64 ": write the diff to another",
					 job->path, MIN(found, want));
		off = want;
	}
	return 0;
}

/* The new file: without a name until it is complete, so that nothing is left of an
 * export that is killed; or, where that cannot be had, beside path with tmp as its
 * name. */
struct target {
	int fd;		    /* owned */
	char dir[PATH_MAX]; /* path is in it */
	char tmp[PATH_MAX]; /* "": no name yet */
};

/* The file systems that have no O_TMPFILE say so in one of these ways. */
static bool is_unsupported(int error)
{
	return error == EOPNOTSUPP || error == EISDIR || error == ENOSYS || error == EINVAL;
}

/* A file without a name gets one through /proc, see open(2). */
static void nameless_path(int fd, char path[32])
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
}

/* -EOPNOTSUPP where there are none. */
static int open_nameless(const char *dir)
{
	char proc[32];
	AUTO_CLOSE int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return is_unsupported(errno) ? -EOPNOTSUPP : -errno;
	nameless_path(fd, proc);
	return access(proc, F_OK) < 0 ? -EOPNOTSUPP : TAKE_FD(fd);
}

static int target_open(struct target *target, const char *path)
{
	int r = io_parent(path, target->dir);

	target->tmp[0] = '\0';
	if (r == 0)
		r = open_nameless(target->dir);
	if (r == -EOPNOTSUPP) {
		int n = snprintf(target->tmp, sizeof(target->tmp), "%s.XXXXXX", path);

		if ((size_t)n >= sizeof(target->tmp)) {
			target->tmp[0] = '\0';
			return -ENAMETOOLONG;
		}
		r = mkostemp(target->tmp, O_CLOEXEC);
		if (r < 0) {
			r = -errno;
			target->tmp[0] = '\0';
		}
	}
	target->fd = r;
	return MIN(r, 0);
}

/* Gives the file a name nobody has, as a link replaces nothing. */
static int link_aside(struct target *target, const char *proc)
{
	int r = -EEXIST;

	for (int tries = 0; r == -EEXIST && tries < LINK_TRIES; tries++) {
		uint64_t random;
		int n;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -errno;
		n = snprintf(target->tmp, sizeof(target->tmp), "%s/.pagoda-%016" PRIx64,
			     target->dir, random);
		if ((size_t)n >= sizeof(target->tmp))
			r = -ENAMETOOLONG;
		else
			r = linkat(AT_FDCWD, proc, AT_FDCWD, target->tmp, AT_SYMLINK_FOLLOW) < 0
				    ? -errno
				    : 0;
	}
	if (r < 0)
		target->tmp[0] = '\0';
	return r;
}

/* The complete file takes its name, or that of the file that has it. */
static int target_name(struct target *target, const char *path)
{
	char proc[32];
	int r = 0;

	nameless_path(target->fd, proc);
	if (!target->tmp[0]) {
		if (linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
			return 0;
		r = errno == EEXIST ? link_aside(target, proc) : -errno;
	}
	if (r == 0 && rename(target->tmp, path) < 0)
		r = -errno;
	if (r == 0)
		target->tmp[0] = '\0';
	return r;
}

/* The same, and no signal that ends the process comes between its two steps. */
static int target_place(struct target *target, const char *path)
{
	sigset_t all;
	sigset_t former;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &former);
	r = target_name(target, path);
	/* the link is of the file: with that its name is as durable as the directory */
	if (r == 0 && fsync(target->fd) < 0)
		r = -errno;
	if (target->tmp[0])
		unlink(target->tmp);
	target->tmp[0] = '\0';
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	return r;
}

/* As long as it is not placed it goes. */
static void target_close(struct target *target)
{
	if (target->tmp[0])
		unlink(target->tmp);
	if (target->fd >= 0)
		close(target->fd);
}

/* All that path is to be, durably, into job->fd. */
static int fill_file(struct job *job)
{
	int r;

	job->sparse = true;
	r = write_all(job);
	if (r == 0 && (ftruncate(job->fd, (off_t)snapshot_row(job->snapshot)->size) < 0 ||
		       fsync(job->fd) < 0))
		r = fail_with(-errno, "%s: %s", job->path, strerror(errno));
	return r == 0 && job->view == MAP_DIFF ? check_holes(job) : r;
}

/* Into a new file, which then takes the place of path. */
static int export_file(struct job *job)
{
	const char *path = job->path;
	struct target target;
	struct stat st;
	int r;

	/* a name that no file can have is told before the work, not behind it */
	if (lstat(path, &st) < 0 && errno != ENOENT)
		return fail_with(-errno, "%s: %s", path, strerror(errno));
	r = target_open(&target, path);

	if (r < 0)
		return fail_with(r, "%s: %s", path, strerror(-r));
	job->fd = target.fd;
	r = fill_file(job);
	if (r == 0) {
		r = target_place(&target, path);
		if (r == 0)
			r = io_sync_parent(path);
		if (r < 0)
			r = fail_with(r, "%s: %s", path, strerror(-r));
	}
	target_close(&target);
	return r;
}

/* Into what is there: standard output, a pipe, a block device. */
static int export_stream(struct job *job)
{
	bool is_stdout = strcmp(job->path, "-") == 0;
	AUTO_CLOSE int fd = is_stdout ? dup(STDOUT_FILENO) : open(job->path, O_WRONLY | O_CLOEXEC);
	int r;

	if (is_stdout)
		job->path = "standard output";
	job->fd = fd;
	if (job->view == MAP_DIFF)
		return fail_with(-EINVAL,
				 "%s cannot have holes, and in a diff they say what is unchanged: "
				 "write to a file",
				 job->path);
	if (fd < 0)
		return fail_with(-errno, "%s: %s", job->path, strerror(errno));
	r = write_all(job);
	/* what cannot be synced (EINVAL: a pipe) has nothing to lose */
	if (r == 0 && fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
		r = fail_with(-errno, "%s: %s", job->path, strerror(errno));
	return r;
}

int export_image(const struct snapshot *snapshot, struct pages *pages, enum map_view view,
		 const char *path, struct progress *progress)
{
	struct job job = {.snapshot = snapshot,
			  .pages = pages,
			  .map = snapshot_map(snapshot, view),
			  .view = view,
			  .progress = progress,
			  .path = path,
			  .fd = -1};
	struct stat st;

	if (strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
		return export_stream(&job);
	return export_file(&job);
}
