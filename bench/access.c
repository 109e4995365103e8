/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/access.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/io.h"
#include "bench/measure.h"

#define CHUNK MIB

struct work {
	const struct access *access;
	int fd;
	size_t calls;
	size_t len; /* bytes of a call */
	uint64_t *offs;
	double *took_us;
	unsigned char *buffer; /* len bytes */
};

static bool is_write(const struct access *a)
{
	return a->kind == ACCESS_WRITE || a->kind == ACCESS_SYNC;
}

static int offs_make(struct work *w)
{
	const struct access *a = w->access;
	size_t units = a->image->size / w->len;
	uint64_t state = a->seed;

	w->offs = malloc(units * sizeof(w->offs[0]));
	w->took_us = calloc(w->calls, sizeof(w->took_us[0]));
	w->buffer = malloc(w->len);
	if (!w->offs || !w->took_us || !w->buffer)
		return fail_with(-ENOMEM, "out of memory");
	for (size_t i = 0; i < units; i++)
		w->offs[i] = i * w->len;
	for (size_t i = 0; a->kind != ACCESS_ORDERED && i < w->calls; i++) {
		size_t other = i + image_random(&state) % (units - i);
		uint64_t off = w->offs[i];

		w->offs[i] = w->offs[other];
		w->offs[other] = off;
	}
	return 0;
}

/* What is written at off: the page itself, with its place and the run in it. */
static void patch_make(const struct work *w, uint64_t off, unsigned char *page)
{
	memcpy(page, w->access->image->bytes + off, PAGE);
	memcpy(page, &off, sizeof(off));
	memcpy(page + sizeof(off), &w->access->seed, sizeof(w->access->seed));
}

static int call(const struct work *w, uint64_t off)
{
	ssize_t n;

	if (!is_write(w->access)) {
		n = io_pread_full(w->fd, w->buffer, w->len, off);
		return n == (ssize_t)w->len ? 0 : n < 0 ? (int)n : -EIO;
	}
	n = io_pwrite_full(w->fd, w->buffer, w->len, off);
	if (n == 0 && w->access->kind == ACCESS_SYNC && fdatasync(w->fd) < 0)
		n = -errno;
	return (int)n;
}

static int work_timed(const struct work *w, double *ret_seconds)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->calls; i++) {
		uint64_t begun;
		uint64_t took;
		int r;

		if (is_write(w->access))
			patch_make(w, w->offs[i], w->buffer);
		begun = clock_monotonic_ns();
		r = call(w, w->offs[i]);
		took = clock_monotonic_ns() - begun;
		if (r < 0)
			return fail_with(r, "%s at %" PRIu64 ": %s", w->access->path, w->offs[i],
					 strerror(-r));
		w->took_us[i] = (double)took / (double)NS_PER_US;
		sum += took;
	}
	*ret_seconds = (double)sum / (double)NS_PER_SEC;
	return 0;
}

static int work_compare(const struct work *w)
{
	const struct image *image = w->access->image;
	unsigned char want[PAGE];

	for (size_t i = 0; i < w->calls; i++) {
		if (io_pread_full(w->fd, w->buffer, w->len, w->offs[i]) != (ssize_t)w->len)
			return fail_with(-EIO, "%s cannot be read again", w->access->path);
		for (size_t at = 0; at < w->len; at += PAGE) {
			uint64_t off = w->offs[i] + at;

			if (is_write(w->access))
				patch_make(w, off, want);
			else if (image->bytes)
				memcpy(want, image->bytes + off, PAGE);
			else
				image_make_page(w->access->made_seed, off / PAGE, want);
			if (memcmp(w->buffer + at, want, PAGE) != 0)
				return fail_with(-EBADMSG, "%s holds wrong bytes at %" PRIu64,
						 w->access->path, off);
		}
	}
	return 0;
}

static int work_run(struct work *w, struct accessed *ret)
{
	int r = offs_make(w);

	if (r == 0)
		r = work_timed(w, &ret->seconds);
	if (r == 0)
		r = work_compare(w);
	if (r < 0)
		return r;
	ret->p50_us = measure_quantile(w->took_us, w->calls, 0.5);
	ret->p99_us = measure_quantile(w->took_us, w->calls, 0.99);
	ret->per_second = (double)w->calls / ret->seconds;
	return 0;
}

int access_run(const void *argument, void *ret_accessed)
{
	const struct access *a = argument;
	struct work w = {.access = a, .len = a->kind == ACCESS_ORDERED ? CHUNK : PAGE};
	AUTO_CLOSE int fd = open(a->path, (is_write(a) ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	int r;

	if (fd < 0)
		return fail_with(-errno, "cannot open %s: %s", a->path, strerror(errno));
	if (a->kind == ACCESS_RANDOM)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	w.fd = fd;
	w.calls = a->kind == ACCESS_ORDERED ? a->image->size / CHUNK
					    : MIN(a->count, a->image->size / PAGE);
	r = work_run(&w, ret_accessed);
	free(w.offs);
	free(w.took_us);
	free(w.buffer);
	return r;
}
