/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/io.h"
#include "handler/regions.h"

/* Where an image is more torn than this, the rest of it counts as data. */
#define EXTENTS_MOST 262144

struct source {
	char *path; /* owned: as it was given */
	char *file; /* owned: of the file, for messages */
	int fd;
	uint32_t generation;
	struct identity identity;
	struct bitmap zero;   /* over zero_words */
	uint64_t *zero_words; /* owned */
};

static int cannot_open(const char *path)
{
	return fail_with(-errno, "open source %s: %s", path, strerror(errno));
}

/* What path means: of a directory the file `mem` in it. Owned by who asks; NULL when out
 * of memory. */
static char *file_name(const char *path)
{
	struct stat st;
	char *name;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return strdup(path);
	return asprintf(&name, "%s/mem", path) < 0 ? NULL : name;
}

/* Splits it into an open directory and a name in it, with no link left to follow: what
 * lies beside the file says which snapshot it is. The name is the caller's. */
static int path_open(const char *path, int *ret_dir, char **ret_name)
{
	AUTO_FREE char *file = file_name(path);
	AUTO_FREE char *real = file ? realpath(file, NULL) : NULL;
	AUTO_CLOSE int dir = -1;
	char *slash;

	if (!file)
		return -ENOMEM;
	/* a name that only the kernel can follow, as in /proc/self/fd */
	if (!real && errno == ENOENT && access(file, F_OK) == 0) {
		*ret_name = strdup(file);
		return *ret_name ? 0 : -ENOMEM;
	}
	if (!real)
		return cannot_open(path);
	slash = strrchr(real, '/'); /* an absolute path has one */
	*ret_name = strdup(slash + 1);
	if (!*ret_name)
		return -ENOMEM;
	*slash = '\0';
	dir = open(slash == real ? "/" : real, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return cannot_open(path);
	*ret_dir = TAKE_FD(dir);
	return 0;
}

static int image_check(const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return fail_with(-EINVAL, "open source %s: is not a file", path);
	if (st->st_size == 0 || st->st_size % REGIONS_PAGE)
		return fail_with(
			-EINVAL,
			"open source %s: %jd bytes are no memory image: not a multiple of 4096",
			path, (intmax_t)st->st_size);
	return 0;
}

static int file_open(const char *path, int *ret_fd, struct identity *ret)
{
	AUTO_FREE char *name = NULL;
	AUTO_CLOSE int dir = -1;
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r = path_open(path, &dir, &name);

	if (r < 0)
		return r;
	/* a FIFO would keep us until someone writes to it; of a file it says nothing */
	fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cannot_open(path);
	r = image_check(path, &st);
	if (r < 0)
		return r;
	r = identity_read(fd, dir, ret);
	if (r < 0)
		return fail_prefix(r, "open source %s", path);
	if (ret->of_view && strcmp(name, "mem") != 0)
		return fail_with(
			-EINVAL,
			"open source %s: the memory of a snapshot is the file mem beside it", path);
	*ret_fd = TAKE_FD(fd);
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

	for (size_t i = 0; i < EXTENTS_MOST && off < source->identity.size; i++) {
		off_t data = lseek(source->fd, (off_t)off, SEEK_DATA);
		off_t hole;

		if (data < 0 && errno != ENXIO)
			return;
		if (data < 0 || (uint64_t)data >= source->identity.size) {
			hole_note(source, off, source->identity.size);
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
	r = file_open(path, &source->fd, &source->identity);
	if (r < 0)
		return r;
	source->path = strdup(path);
	source->file = file_name(path);
	source->zero.bits = source->identity.size / REGIONS_PAGE;
	source->zero_words = calloc(1, bitmap_bytes(source->zero.bits));
	if (!source->path || !source->file || !source->zero_words)
		return -ENOMEM;
	source->zero.words = source->zero_words;
	if (!identity_may_change(&source->identity))
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
	free(source->file);
	free(source->path);
	free(source);
}

const char *source_path(const struct source *source)
{
	return source->file;
}

uint64_t source_size(const struct source *source)
{
	return source->identity.size;
}

const struct identity *source_identity(const struct source *source)
{
	return &source->identity;
}

int source_fd(const struct source *source)
{
	return source->fd;
}

uint32_t source_generation(const struct source *source)
{
	return source->generation;
}

int source_reopen(const struct source *source, int *ret_fd, struct identity *ret)
{
	return file_open(source->path, ret_fd, ret);
}

void source_renew(struct source *source, int fd)
{
	close(source->fd);
	source->fd = fd;
	source->generation++;
}

const struct bitmap *source_zero(const struct source *source)
{
	return &source->zero;
}

void source_announce(int fd, uint64_t off, uint64_t len)
{
	(void)posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_WILLNEED);
}

/* What a dead file system says, of FUSE or of the network. */
static bool is_gone(int err)
{
	return err == -ENOTCONN || err == -ECONNABORTED || err == -ESTALE;
}

/* Whether an error of a read is a file system that has gone. The page cache may turn
 * what the file system said into EIO: so ask it for something that it does not keep. */
static bool was_gone(int fd, int err)
{
	if (err == -EIO && lseek(fd, 0, SEEK_DATA) < 0 && errno != ENXIO)
		err = -errno;
	return is_gone(err);
}

bool source_has_gone(const struct source *source)
{
	return was_gone(source->fd, -EIO);
}

bool source_has_changed(const struct source *source)
{
	struct identity now;

	if (source->identity.of_fuse) /* a sealed snapshot never does, a draft may */
		return false;
	return identity_read(source->fd, -1, &now) == 0 && !identity_same(&source->identity, &now);
}

int source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf)
{
	ssize_t n = io_pread_full(fd, buf, len, off);

	if (n < 0)
		return fail_with(was_gone(fd, (int)n) ? -ENOTCONN : (int)n,
				 "read %" PRIu64 " bytes at %" PRIu64 " of %s: %s", len, off,
				 source->file, strerror(-(int)n));
	if ((uint64_t)n < len)
		return fail_with(-EIO,
				 "read %" PRIu64 " bytes at %" PRIu64
				 " of %s: the file has become shorter",
				 len, off, source->file);
	return 0;
}
