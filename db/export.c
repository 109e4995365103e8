/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/io.h"
#include "db/store.h"

#define CHUNK_BYTES (1U << 20)

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
		uint64_t off = map->runs[i].first * PAGE_BYTES;
		uint64_t end = map_run_end(map, i) * PAGE_BYTES;

		if (job->sparse && map_is_hole(map->runs[i].kind, job->view))
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

/* Into a new file beside path, which then takes its place. */
static int export_file(struct job *job)
{
	const char *path = job->path;
	char tmp[PATH_MAX];
	AUTO_CLOSE int fd = -1;
	int r;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= sizeof(tmp))
		return fail_with(-ENAMETOOLONG, "%.60s...: the path is too long", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return fail_with(-errno, "%s: %s", path, strerror(errno));
	job->fd = fd;
	job->sparse = true;
	r = write_all(job);
	if (r == 0 &&
	    (ftruncate(fd, (off_t)snapshot_row(job->snapshot)->size) < 0 || fsync(fd) < 0))
		r = fail_with(-errno, "%s: %s", path, strerror(errno));
	if (r == 0 && job->view == MAP_DIFF)
		r = check_holes(job);
	if (r == 0 && rename(tmp, path) < 0)
		r = fail_with(-errno, "%s: %s", path, strerror(errno));
	if (r < 0)
		unlink(tmp);
	return r < 0 ? r : io_sync_parent(path);
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
