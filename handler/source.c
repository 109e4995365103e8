/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "base/io.h"
#include "handler/regions.h"

/* Where an image is more torn than this, the rest of it counts as data. */
#define EXTENTS_MOST 262144

struct source {
	char *path; /* owned */
	int fd;
	uint64_t size;
	struct bitmap zero;   /* over zero_words */
	uint64_t *zero_words; /* owned */
};

/* A directory means the file `mem` in it. */
static int path_resolve(const char *path, char **ret)
{
	struct stat st;
	int r = 0;

	if (stat(path, &st) < 0)
		return fail_with(-errno, "open source %s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		r = asprintf(ret, "%s/mem", path);
	else
		*ret = strdup(path);
	return r < 0 || !*ret ? -ENOMEM : 0;
}

static int file_open(struct source *source)
{
	struct stat st;

	source->fd = open(source->path, O_RDONLY | O_CLOEXEC);
	if (source->fd < 0 || fstat(source->fd, &st) < 0)
		return fail_with(-errno, "open source %s: %s", source->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail_with(-EINVAL, "open source %s: is not a file", source->path);
	if (st.st_size == 0 || st.st_size % REGIONS_PAGE)
		return fail_with(
			-EINVAL,
			"open source %s: %jd bytes are no memory image: not a multiple of 4096",
			source->path, (intmax_t)st.st_size);
	source->size = (uint64_t)st.st_size;
	return 0;
}

/* A hole covers the pages that lie in it as a whole. */
static void hole_note(struct source *source, uint64_t start, uint64_t end)
{
	uint64_t first = (start + REGIONS_PAGE - 1) / REGIONS_PAGE;
	uint64_t last = end / REGIONS_PAGE;

	if (first < last)
		bitmap_set(&source->zero, first, last - first);
}

/* Walks data and holes. A file system that cannot tell has no holes for us. */
static void holes_find(struct source *source)
{
	uint64_t off = 0;

	for (size_t i = 0; i < EXTENTS_MOST && off < source->size; i++) {
		off_t data = lseek(source->fd, (off_t)off, SEEK_DATA);
		off_t hole;

		if (data < 0 && errno != ENXIO)
			return;
		if (data < 0 || (uint64_t)data >= source->size) {
			hole_note(source, off, source->size);
			return;
		}
		hole_note(source, off, (uint64_t)data);
		hole = lseek(source->fd, data, SEEK_HOLE);
		if (hole <= data)
			return;
		off = (uint64_t)hole;
	}
}

int source_open(const char *path, struct source **ret)
{
	AUTO_SOURCE struct source *source = calloc(1, sizeof(*source));
	int r;

	if (!source)
		return -ENOMEM;
	source->fd = -1;
	r = path_resolve(path, &source->path);
	if (r < 0)
		return r;
	r = file_open(source);
	if (r < 0)
		return r;
	source->zero.bits = source->size / REGIONS_PAGE;
	source->zero_words = calloc(1, bitmap_bytes(source->zero.bits));
	if (!source->zero_words)
		return -ENOMEM;
	source->zero.words = source->zero_words;
	holes_find(source);
	*ret = TAKE_PTR(source);
	return 0;
}

void source_close(struct source *source)
{
	if (!source)
		return;
	if (source->fd >= 0)
		close(source->fd);
	free(source->zero_words);
	free(source->path);
	free(source);
}

const char *source_path(const struct source *source)
{
	return source->path;
}

uint64_t source_size(const struct source *source)
{
	return source->size;
}

int source_fd(const struct source *source)
{
	return source->fd;
}

const struct bitmap *source_zero(const struct source *source)
{
	return &source->zero;
}

void source_announce(const struct source *source, uint64_t off, uint64_t len)
{
	(void)posix_fadvise(source->fd, (off_t)off, (off_t)len, POSIX_FADV_WILLNEED);
}

int source_read(const struct source *source, uint64_t off, uint64_t len, void *buf)
{
	ssize_t n = io_pread_full(source->fd, buf, len, off);

	if (n < 0)
		return fail_with((int)n, "read %" PRIu64 " bytes at %" PRIu64 " of %s: %s", len,
				 off, source->path, strerror(-(int)n));
	if ((uint64_t)n < len)
		return fail_with(-EIO,
				 "read %" PRIu64 " bytes at %" PRIu64
				 " of %s: the file has become shorter",
				 len, off, source->path);
	return 0;
}
