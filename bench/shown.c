/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/shown.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "bench/null-fuse.h"
#include "bench/place.h"
#include "bench/process.h"

const char *shown_name(enum shown_by by)
{
	static const char *const names[] = {"pagodafs", "null-fuse", "squashfuse_ll", "raw file"};

	return names[by];
}

/* The image in a squashfs of its own, 128 KiB blocks of LZ4. */
static int squashfs_make(const struct bench *bench, const char *image)
{
	const char *const argv[] = {"mksquashfs", bench->image.path, image,    "-comp", "lz4",
				    "-noappend",  "-no-progress",    "-quiet", NULL};

	return access(image, F_OK) == 0 ? 0 : process_run(argv, ANYWHERE, NULL);
}

static int server_start(struct shown *s)
{
	const char *const squashfuse[] = {"squashfuse_ll", s->backing, s->dir, NULL};
	const struct null_fuse null_fuse = {.image = &s->bench->image, .dir = s->dir};

	switch (s->by) {
	case SHOWN_BY_PAGODAFS:
		return bench_mount(s->bench, s->backing, s->dir, s->cpu);
	case SHOWN_BY_NULL_FUSE:
		return process_serve_function(null_fuse_serve, &null_fuse, s->cpu, &s->server);
	case SHOWN_BY_SQUASHFUSE:
		return process_run(squashfuse, s->cpu, NULL);
	case SHOWN_BY_DISK:
		return 0;
	}
	return -EINVAL;
}

static int paths_make(struct shown *s)
{
	static const char *const files[] = {"a/mem", "mem", "a.mem"};
	int r;

	if (s->by == SHOWN_BY_DISK) {
		snprintf(s->backing, sizeof(s->backing), "%s", s->bench->image.path);
		snprintf(s->file, sizeof(s->file), "%s", s->bench->image.path);
		return 0;
	}
	r = bench_row_path(s->bench, s->dir, shown_name(s->by));
	if (r == 0)
		r = place_path(s->file, s->dir, files[s->by]);
	if (r == 0 && mkdir(s->dir, 0700) < 0 && errno != EEXIST)
		r = fail_with(-errno, "cannot make %s: %s", s->dir, strerror(errno));
	if (r == 0 && s->by == SHOWN_BY_PAGODAFS)
		snprintf(s->backing, sizeof(s->backing), "%s", s->bench->store);
	if (r == 0 && s->by == SHOWN_BY_SQUASHFUSE)
		r = bench_row_path(s->bench, s->backing, "squashfs");
	if (r == 0 && s->by == SHOWN_BY_SQUASHFUSE)
		r = squashfs_make(s->bench, s->backing);
	return r;
}

int shown_start(const struct bench *bench, enum shown_by by, int cpu, struct shown *ret)
{
	int r;

	*ret = (struct shown){.bench = bench, .by = by, .cpu = cpu};
	r = paths_make(ret);
	return r < 0 ? r : server_start(ret);
}

int shown_stop(struct shown *s)
{
	if (s->by == SHOWN_BY_DISK)
		return 0;
	if (s->by == SHOWN_BY_PAGODAFS)
		return bench_unmount(s->bench, s->dir);
	if (umount2(s->dir, 0) < 0)
		return fail_with(-errno, "cannot unmount %s: %s", s->dir, strerror(errno));
	return s->by == SHOWN_BY_NULL_FUSE ? process_wait(s->server, "null-fuse") : 0;
}

int shown_cool(const struct shown *s)
{
	return place_evict(s->file);
}

int shown_freeze(struct shown *s)
{
	int r = shown_stop(s);

	if (r == 0 && s->backing[0])
		r = place_evict(s->backing);
	return r < 0 ? r : server_start(s);
}
