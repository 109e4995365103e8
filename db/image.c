/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/image.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/io.h"
#include "db/store.h"

#define DEV_NULL makedev(1, 3)

struct image {
	int fd;		  /* borrowed */
	const char *name; /* borrowed */
	struct image_rules rules;
	bool is_file;	       /* has a size, and can be read anywhere */
	bool has_holes;	       /* SEEK_DATA works */
	uint64_t size;	       /* of a file */
	struct timespec mtime; /* of a file */
	pthread_mutex_t mutex;
	uint64_t at;	   /* pgno of the next window; protected by mutex */
	uint64_t sequence; /* of the next window; protected by mutex */
	/* the data that was found last, in pages; data_end is behind at, or nobody has looked
	 * yet; protected by mutex */
	uint64_t data_begin;
	uint64_t data_end;
	bool ended; /* a pipe has; protected by mutex */
	int error;  /* of image_next, once and for all; protected by mutex */
	char error_text[FAIL_TEXT_MAX];
};

static int check_size(const struct image *image, uint64_t size)
{
	if (size == 0)
		return fail_with(-EINVAL, "%s is empty: give a memory image", image->name);
	if (size % PAGE_BYTES != 0)
		return fail_with(-EINVAL,
				 "%s has %" PRIu64 " bytes, which is no multiple of %d: "
				 "it is cut short or no memory image",
				 image->name, size, PAGE_BYTES);
	if (size > IMAGE_BYTES_MAX)
		return fail_with(-EFBIG, "%s is larger than the 16 TiB a snapshot can have",
				 image->name);
	return 0;
}

/* A layer has the size of what it lies on: else pages would be of nobody. */
static int check_rules(const struct image *image, uint64_t size)
{
	const struct image_rules *rules = &image->rules;

	if (rules->size == 0 || size == rules->size)
		return 0;
	return fail_with(-EINVAL,
			 "%s has %" PRIu64 " bytes%s, its parent '%s' has %" PRIu64
			 ": a layer has the size of its parent",
			 image->name, size, !image->is_file && size > rules->size ? " or more" : "",
			 rules->parent, rules->size);
}

/* Bytes of the file that are data as its file system tells it; -errno. */
static int64_t data_bytes(int fd)
{
	int64_t bytes = 0;
	off_t at = 0;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		off_t hole = lseek(fd, at, SEEK_HOLE);

		if (hole < 0)
			return -errno;
		bytes += hole - at;
		at = hole;
	}
	return errno == ENXIO ? bytes : -errno;
}

/* A diff says by a hole that pages are unchanged, so nothing may have filled it. A file
 * system that knows no holes calls them data, and may be known by the blocks that are
 * not there for it. */
static int check_diff(const struct image *image, const struct stat *st)
{
	int64_t bytes;

	if (!image->is_file || !image->has_holes)
		return fail_with(-EINVAL,
				 "%s cannot have holes, and in a diff they say what is unchanged: "
				 "give a file on a file system that keeps them",
				 image->name);
	bytes = data_bytes(image->fd);
	if (bytes < 0)
		return fail_with((int)bytes, "%s: looking for holes: %s", image->name,
				 strerror((int)-bytes));
	if (bytes > (int64_t)st->st_blocks * 512)
		return fail_with(-EINVAL,
				 "%s has %jd bytes of data in blocks for %jd: its file system does "
				 "not tell the holes, which in a diff say what is unchanged",
				 image->name, (intmax_t)bytes, (intmax_t)st->st_blocks * 512);
	return 0;
}

static int size_find(struct image *image, const struct stat *st)
{
	int r;

	image->size = (uint64_t)st->st_size;
	image->mtime = st->st_mtim;
	image->is_file = S_ISREG(st->st_mode);
	if (S_ISBLK(st->st_mode)) {
		if (ioctl(image->fd, BLKGETSIZE64, &image->size) < 0)
			return fail_with(-errno, "%s: %s", image->name, strerror(errno));
		image->is_file = true;
	}
	/* /dev/zero has no end and a terminal no image; /dev/null, which may be what a closed
	 * standard input has become, is empty */
	if (S_ISCHR(st->st_mode) && st->st_rdev != DEV_NULL)
		return fail_with(-EINVAL,
				 "%s is a character device, which has no end: give a file, a block "
				 "device or a pipe",
				 image->name);
	if (S_ISDIR(st->st_mode))
		return fail_with(-EINVAL,
				 "%s is a directory: give the memory file in it, or use "
				 "--from-dir",
				 image->name);
	if (!image->is_file)
		return 0;
	r = check_size(image, image->size);
	return r < 0 ? r : check_rules(image, image->size);
}

int image_open(int fd, const char *name, const struct image_rules *rules, struct image **ret)
{
	AUTO(image_close_at) struct image *image = calloc(1, sizeof(*image));
	struct stat st;
	int r;

	if (!image)
		return fail_with(-ENOMEM, "out of memory");
	image->fd = fd;
	image->name = name;
	image->rules = *rules;
	pthread_mutex_init(&image->mutex, NULL);
	if (fstat(fd, &st) < 0)
		return fail_with(-errno, "%s: %s", name, strerror(errno));
	r = size_find(image, &st);
	if (r < 0)
		return r;
	image->has_holes = S_ISREG(st.st_mode) && (lseek(fd, 0, SEEK_HOLE) >= 0 || errno == ENXIO);
	r = rules->is_diff ? check_diff(image, &st) : 0;
	if (r < 0)
		return r;
	*ret = TAKE_PTR(image);
	return 0;
}

void image_close(struct image *image)
{
	if (!image)
		return;
	pthread_mutex_destroy(&image->mutex);
	free(image);
}

uint64_t image_size(const struct image *image)
{
	return image->is_file ? image->size : 0;
}

/* data_begin and data_end become those of the data at or behind page at; both are
 * npages where a hole goes to the end. */
static int data_find(struct image *image, uint64_t at, uint64_t npages)
{
	off_t data;
	off_t hole;

	if (at < image->data_end)
		return 0;
	image->data_begin = at;
	image->data_end = npages;
	if (!image->has_holes)
		return 0;
	data = lseek(image->fd, (off_t)(at * PAGE_BYTES), SEEK_DATA);
	if (data < 0 && errno == ENXIO) {
		image->data_begin = npages;
		return 0;
	}
	hole = data < 0 ? -1 : lseek(image->fd, data, SEEK_HOLE);
	if (hole < 0)
		return fail_with(-errno, "%s: looking for holes: %s", image->name, strerror(errno));
	if (image->rules.is_diff && (data % PAGE_BYTES != 0 || hole % PAGE_BYTES != 0))
		return fail_with(-EINVAL,
				 "%s: the data from byte %jd to %jd begins or ends within a page, "
				 "so it is no diff of %d-byte pages",
				 image->name, (intmax_t)data, (intmax_t)hole, PAGE_BYTES);
	/* holes of other sizes than a page are data */
	image->data_begin = MIN((uint64_t)data / PAGE_BYTES, npages);
	image->data_end = MIN(((uint64_t)hole + PAGE_BYTES - 1) / PAGE_BYTES, npages);
	return 0;
}

static void holes_mark(struct image_window *window, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++)
		window->holes[i / 64] |= UINT64_C(1) << i % 64;
}

/* A machine's memory can have a hole every few pages: as windows of their own they
 * would cost more than the pages between them. */
static int next_of_file(struct image *image, struct image_window *window)
{
	uint64_t npages = image->size / PAGE_BYTES;
	uint64_t n = 0;

	window->is_diff = image->rules.is_diff;
	while (n < WINDOW_PAGES && image->at + n < npages) {
		uint64_t at = image->at + n;
		uint64_t hole;
		int r = data_find(image, at, npages);

		if (r < 0)
			return r;
		hole = image->data_begin > at ? image->data_begin - at : 0;
		if (hole >= WINDOW_PAGES) {
			window->hole = n == 0;
			n = n == 0 ? hole : n;
			break;
		}
		hole = MIN(hole, WINDOW_PAGES - n);
		holes_mark(window, n, hole);
		n += hole;
		n += MIN(image->data_end - (at + hole), WINDOW_PAGES - n);
	}
	window->npages = n;
	return 0;
}

static int next_of_pipe(struct image *image, struct image_window *window, void *plain)
{
	uint64_t size;
	ssize_t n;
	int r;

	if (image->ended)
		return 0;
	n = io_read_full(image->fd, plain, WINDOW_PAGES * PAGE_BYTES);
	if (n < 0)
		return fail_with((int)n, "%s: %s", image->name, strerror((int)-n));
	image->ended = (size_t)n < WINDOW_PAGES * PAGE_BYTES;
	window->npages = (uint64_t)n / PAGE_BYTES;
	size = image->at * PAGE_BYTES + (uint64_t)n;
	r = check_size(image, size);
	if (r == 0 && (image->ended || size > image->rules.size))
		r = check_rules(image, size);
	return r;
}

int image_next(struct image *image, struct image_window *ret, void *plain)
{
	struct image_window window = {0};
	int r;

	pthread_mutex_lock(&image->mutex);
	window.sequence = image->sequence;
	window.first = image->at;
	r = image->error;
	if (r < 0)
		fail_with(r, "%s", image->error_text);
	else
		r = image->is_file ? next_of_file(image, &window)
				   : next_of_pipe(image, &window, plain);
	if (r < 0 && image->error == 0) {
		image->error = r;
		fail_copy(r, image->error_text);
	}
	if (r == 0 && window.npages > 0) {
		image->at += window.npages;
		image->sequence++;
	}
	pthread_mutex_unlock(&image->mutex);
	if (r == 0)
		*ret = window;
	return r;
}

static int read_pages(struct image *image, uint64_t pgno, size_t count, void *plain)
{
	uint64_t off = pgno * PAGE_BYTES;
	ssize_t n = io_pread_full(image->fd, plain, count * PAGE_BYTES, off);

	if (n < 0)
		return fail_with((int)n, "%s: reading at %" PRIu64 ": %s", image->name, off,
				 strerror((int)-n));
	if ((size_t)n < count * PAGE_BYTES)
		return fail_with(-ECANCELED,
				 "%s became shorter while it was read: "
				 "stop its writer first",
				 image->name);
	return 0;
}

int image_read(struct image *image, const struct image_window *window, void *plain)
{
	size_t n;
	int r = 0;

	if (!image->is_file || window->hole)
		return 0;
	for (size_t i = 0; r == 0 && i < window->npages; i += n) {
		bool hole = image_window_has_hole(window, i);

		n = 1;
		while (i + n < window->npages && image_window_has_hole(window, i + n) == hole)
			n++;
		if (!hole)
			r = read_pages(image, window->first + i, n, (char *)plain + i * PAGE_BYTES);
	}
	return r;
}

int image_check_unchanged(const struct image *image)
{
	struct stat st;

	if (!image->is_file || fstat(image->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	/* its pages would be of two moments */
	if ((uint64_t)st.st_size != image->size || st.st_mtim.tv_sec != image->mtime.tv_sec ||
	    st.st_mtim.tv_nsec != image->mtime.tv_nsec)
		return fail_with(-ECANCELED,
				 "%s was written to while it was read: stop its writer first",
				 image->name);
	return 0;
}
