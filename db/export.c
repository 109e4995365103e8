/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/export.h"

#include <errno.h>
#include <fcntl.h>
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

struct target {
	const char *path;
	int fd;
	bool sparse; /* a file of ours: holes are left out, and it starts out empty */
};

/* One run into the target, at its place; the target is positioned at off. */
static int write_data(const struct snapshot *snapshot, struct pages *pages,
		      const struct target *target, uint64_t off, uint64_t end, char *chunk,
		      struct progress *progress)
{
	while (off < end) {
		size_t n = (size_t)MIN(end - off, (uint64_t)CHUNK_BYTES);
		int r = snapshot_read(snapshot, pages, MAP_MEM, off, chunk, n);

		if (r < 0)
			return r;
		r = target->sparse ? io_pwrite_full(target->fd, chunk, n, off)
				   : io_write_full(target->fd, chunk, n);
		if (r < 0)
			return fail_with(r, "%s: %s", target->path, strerror(-r));
		off += n;
		progress_add(progress, n);
	}
	return 0;
}

static int write_all(const struct snapshot *snapshot, struct pages *pages,
		     const struct target *target, struct progress *progress)
{
	const struct map *map = snapshot_map(snapshot, MAP_MEM);
	AUTO_FREE char *chunk = malloc(CHUNK_BYTES);
	int r = chunk ? 0 : fail_with(-ENOMEM, "out of memory");

	progress_set_total(progress, map->npages * PAGE_BYTES);
	for (size_t i = 0; r == 0 && i < map->nruns; i++) {
		uint64_t off = map->runs[i].first * PAGE_BYTES;
		uint64_t end = map_run_end(map, i) * PAGE_BYTES;

		if (target->sparse && map_is_hole(map->runs[i].kind, MAP_MEM))
			progress_add(progress, end - off);
		else
			r = write_data(snapshot, pages, target, off, end, chunk, progress);
	}
	return r;
}

/* Into a new file beside path, which then takes its place. */
static int export_file(const struct snapshot *snapshot, struct pages *pages, const char *path,
		       struct progress *progress)
{
	char tmp[PATH_MAX];
	AUTO_CLOSE int fd = -1;
	struct target target = {.path = path, .sparse = true};
	int r;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= sizeof(tmp))
		return fail_with(-ENAMETOOLONG, "%.60s...: the path is too long", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return fail_with(-errno, "%s: %s", path, strerror(errno));
	target.fd = fd;
	r = write_all(snapshot, pages, &target, progress);
	if (r == 0 && (ftruncate(fd, (off_t)snapshot_row(snapshot)->size) < 0 || fsync(fd) < 0 ||
		       rename(tmp, path) < 0))
		r = fail_with(-errno, "%s: %s", path, strerror(errno));
	if (r < 0)
		unlink(tmp);
	return r < 0 ? r : io_sync_parent(path);
}

/* Into what is there: standard output, a pipe, a block device. */
static int export_stream(const struct snapshot *snapshot, struct pages *pages, const char *path,
			 struct progress *progress)
{
	bool is_stdout = strcmp(path, "-") == 0;
	AUTO_CLOSE int fd = is_stdout ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CLOEXEC);
	struct target target = {.path = is_stdout ? "standard output" : path, .fd = fd};
	int r;

	if (fd < 0)
		return fail_with(-errno, "%s: %s", target.path, strerror(errno));
	r = write_all(snapshot, pages, &target, progress);
	/* what cannot be synced (EINVAL: a pipe) has nothing to lose */
	if (r == 0 && fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
		r = fail_with(-errno, "%s: %s", target.path, strerror(errno));
	return r;
}

int export_image(const struct snapshot *snapshot, struct pages *pages, const char *path,
		 struct progress *progress)
{
	struct stat st;

	if (strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
		return export_stream(snapshot, pages, path, progress);
	return export_file(snapshot, pages, path, progress);
}
