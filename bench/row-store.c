/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows 13, 14 and 15: how fast images go into a store, and how large it is then: all
 * its files, the index and what is kept in reserve included.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "bench/bench.h"
#include "bench/place.h"
#include "bench/process.h"

#define DIFFS 10
#define DIFF_PERCENT 5
#define LAYER_NAME 16

struct importing {
	struct bench *bench;
	const struct image *image;
	const char *parent; /* image that is there before, as "base"; or NULL */
	char store[PATH_MAX];
	char out[PATH_MAX]; /* of lz4 */
};

/* What has come out is what went in. */
static int store_verify(const struct importing *i)
{
	const char *const check[] = {i->bench->pagoda, "-q",  "-s",   i->store,
				     "export",	       "new", i->out, NULL};
	const char *const cmp[] = {"cmp", i->out, i->image->path, NULL};
	int r = process_run(check, ANYWHERE, NULL);

	if (r == 0 && process_run(cmp, ANYWHERE, NULL) < 0)
		r = fail_with(-EBADMSG, "what pagoda import took is not what export gives");
	place_remove(i->out);
	return r;
}

static int import_once(void *argument, struct sample *ret)
{
	struct importing *i = argument;
	int r = bench_init(i->bench, i->store);

	if (r == 0 && i->parent)
		r = bench_import(i->bench, i->store, "base", i->parent, NULL, NULL);
	if (r == 0)
		r = bench_import(i->bench, i->store, "new", i->image->path,
				 i->parent ? "base" : NULL, &ret->value[0]);
	if (r == 0)
		r = store_verify(i);
	place_remove(i->store);
	return r;
}

static int lz4_once(void *argument, struct sample *ret)
{
	struct importing *i = argument;
	const char *const argv[] = {"lz4", "-1", "-q", "-f", i->image->path, i->out, NULL};
	const char *const test[] = {"lz4", "-q", "-t", i->out, NULL};
	int r = process_run(argv, ANYWHERE, &ret->value[0]);

	if (r == 0)
		r = process_run(test, ANYWHERE, NULL);
	place_remove(i->out);
	return r;
}

static int compare_import(struct bench *bench, const struct image *image, const char *parent,
			  const struct goal *goal)
{
	struct importing importing = {.bench = bench, .image = image, .parent = parent};
	struct comparison c = {
		.a = {"pagoda import", import_once, &importing},
		.b = {"lz4 -1", lz4_once, &importing},
		.ngoals = 1,
		.goals = {*goal},
	};
	int r = bench_row_path(bench, importing.store, "store");

	if (r == 0)
		r = bench_row_path(bench, importing.out, "out");
	if (r == 0)
		r = place_warm(image->path);
	return r < 0 ? r : measure(&bench->measuring, &c);
}

/* The image with 5 % of its pages changed. */
static int changed_make(struct bench *bench, const char *path, struct image *ret)
{
	char changed[PATH_MAX];
	int r = bench_row_path(bench, changed, "changed");

	if (r == 0)
		r = image_load(path, ret);
	if (r == 0)
		r = image_change(ret, changed, 3, DIFF_PERCENT);
	if (r == 0)
		snprintf(ret->path, sizeof(ret->path), "%s", changed);
	return r;
}

/* Into an empty store, and changed over itself. */
static int compare_imports(struct bench *bench, const struct image *image,
			   const struct goal goals[2])
{
	struct image changed = {.bytes = NULL};
	int r = compare_import(bench, image, NULL, &goals[0]);

	if (r == 0)
		r = changed_make(bench, image->path, &changed);
	if (r == 0)
		r = compare_import(bench, &changed, image->path, &goals[1]);
	image_free(&changed);
	if (changed.path[0])
		place_remove(changed.path);
	return r;
}

/* The row speaks of 1 GiB: two states of the guest, and as much again of holes. */
static int compare_joined(struct bench *bench)
{
	struct image joined = {.bytes = NULL};
	char labels[2][48];
	const struct goal goals[] = {{labels[0], "s", RATIO_FASTER, 1.8, 2.3},
				     {labels[1], "s", RATIO_FASTER, 4, 5}};
	int r = bench_row_path(bench, joined.path, "joined");

	joined.size = 2 * (bench->image.size + bench->later.size);
	snprintf(labels[0], sizeof(labels[0]), "two states, %g GiB",
		 (double)joined.size / (double)GIB);
	snprintf(labels[1], sizeof(labels[1]), "5 %% of that changed");
	if (r == 0)
		r = image_join(joined.path, &bench->image, &bench->later);
	if (r == 0)
		r = compare_imports(bench, &joined, goals);
	place_remove(joined.path);
	return r;
}

int row_import(struct bench *bench)
{
	static const struct goal goals[] = {{"one state", "s", RATIO_FASTER, 0, 0},
					    {"5 % of that changed", "s", RATIO_FASTER, 0, 0}};
	int r;

	if (!process_is_installed("lz4"))
		return measure_skip(&bench->measuring, "lz4", "needs lz4");
	r = compare_joined(bench);
	return r < 0 ? r : compare_imports(bench, &bench->image, goals);
}

/* Compares the sizes of two files or trees. */
static int compare_sizes(struct bench *bench, const char *a_name, const char *a, const char *b_name,
			 const char *b, const struct goal *goal)
{
	struct comparison c = {
		.a = {.name = a_name}, .b = {.name = b_name}, .ngoals = 1, .goals = {*goal}};
	struct sample sizes[2];
	uint64_t bytes[2] = {0, 0};
	int r = place_bytes(a, &bytes[0], NULL);

	if (r == 0)
		r = place_bytes(b, &bytes[1], NULL);
	if (r < 0)
		return r;
	for (size_t i = 0; i < 2; i++)
		sizes[i].value[0] = (double)bytes[i] / (double)MIB;
	return measure_once(&bench->measuring, &c, &sizes[0], &sizes[1]);
}

/* A store whose pages were LZ4 before; qcow2 is the other side's file. */
static int size_of_repacked(struct bench *bench, const char *qcow2)
{
	char store[PATH_MAX];
	const char *const repack[] = {bench->pagoda, "-q",	"-s",	store, "repack",
				      "a",	     "--codec", "zstd", NULL};
	const char *const gc[] = {bench->pagoda, "-q", "-s", store, "gc", NULL};
	int r = bench_row_path(bench, store, "repacked-store");

	if (r == 0)
		r = bench_init(bench, store);
	if (r == 0)
		r = bench_import(bench, store, "a", bench->image.path, NULL, NULL);
	if (r == 0)
		r = process_run(repack, ANYWHERE, NULL);
	if (r == -ENOSYS)
		return measure_skip(&bench->measuring, "repacked", "not built: repack");
	if (r == 0)
		r = process_run(gc, ANYWHERE, NULL);
	return r < 0 ? r
		     : compare_sizes(bench, "store", store, "qcow2 zstd", qcow2,
				     &(struct goal){"repacked", "MiB", RATIO_OF_TIMES, 1.12, 1});
}

static int size_of_zstd(struct bench *bench)
{
	char store[PATH_MAX];
	char out[PATH_MAX];
	const char *const import[] = {bench->pagoda,	 "-q",	    "-s",   store, "import", "a",
				      bench->image.path, "--codec", "zstd", NULL};
	const char *const qcow2[] = {"qemu-img",
				     "convert",
				     "-c",
				     "-f",
				     "raw",
				     "-O",
				     "qcow2",
				     "-o",
				     "compression_type=zstd",
				     bench->image.path,
				     out,
				     NULL};
	int r = bench_row_path(bench, store, "zstd-store");

	if (r == 0)
		r = bench_row_path(bench, out, "qcow2");
	if (r == 0)
		r = bench_init(bench, store);
	if (r == 0)
		r = process_run(import, ANYWHERE, NULL);
	if (r == -ENOSYS)
		return measure_skip(&bench->measuring, "zstd codec", "not built: import --codec");
	if (r == 0 && !process_is_installed("qemu-img"))
		return measure_skip(&bench->measuring, "zstd codec", "needs qemu-utils");
	if (r == 0)
		r = process_run(qcow2, ANYWHERE, NULL);
	if (r == 0)
		r = compare_sizes(bench, "store", store, "qcow2 zstd", out,
				  &(struct goal){"zstd codec", "MiB", RATIO_OF_TIMES, 1.12, 1});
	return r < 0 ? r : size_of_repacked(bench, out);
}

int row_size(struct bench *bench)
{
	char out[PATH_MAX];
	const char *const lz4[] = {"lz4", "-1", "-q", "-f", bench->image.path, out, NULL};
	int r = bench_row_path(bench, out, "lz4");

	if (r == 0)
		r = bench_view(bench);
	if (r < 0)
		return r;
	if (process_is_installed("lz4")) {
		r = process_run(lz4, ANYWHERE, NULL);
		if (r == 0)
			r = compare_sizes(
				bench, "store", bench->store, "lz4 -1", out,
				&(struct goal){"one image", "MiB", RATIO_OF_TIMES, 1.12, 1.0});
	} else {
		r = measure_skip(&bench->measuring, "lz4", "needs lz4");
	}
	return r < 0 ? r : size_of_zstd(bench);
}

/* Imports the image and DIFFS diffs over it; each also as a file in dir. */
static int chain_make(struct bench *bench, const char *store, const char *dir)
{
	char name[LAYER_NAME] = "layer-0";
	char parent[LAYER_NAME];
	struct image image = {.bytes = NULL};
	char path[PATH_MAX];
	int r = image_load(bench->image.path, &image);

	for (unsigned int i = 0; r == 0 && i <= DIFFS; i++) {
		snprintf(parent, sizeof(parent), "%s", name);
		snprintf(name, sizeof(name), "layer-%u", i);
		r = place_path(path, dir, name);
		if (r == 0)
			r = image_change(&image, path, 10 + i, i ? DIFF_PERCENT : 0);
		if (r == 0)
			r = bench_import(bench, store, name, path, i ? parent : NULL, NULL);
	}
	image_free(&image);
	return r;
}

int row_chain_size(struct bench *bench)
{
	char store[PATH_MAX];
	char dir[PATH_MAX];
	char squashfs[PATH_MAX];
	const char *const check[] = {bench->pagoda, "-q",	   "-s", store,
				     "check",	    "--read-data", NULL};
	const char *const squash[] = {"mksquashfs",   dir,	squashfs,
				      "-comp",	      "lz4",	"-noappend",
				      "-no-progress", "-quiet", NULL};
	int r = bench_row_path(bench, store, "store");

	if (!process_is_installed("mksquashfs"))
		return measure_skip(&bench->measuring, "squashfs", "needs squashfs-tools");
	if (r == 0)
		r = bench_row_path(bench, dir, "images");
	if (r == 0)
		r = bench_row_path(bench, squashfs, "squashfs");
	if (r == 0 && mkdir(dir, 0700) < 0)
		r = fail_with(-errno, "cannot make %s: %s", dir, strerror(errno));
	if (r == 0)
		r = bench_init(bench, store);
	if (r == 0)
		r = chain_make(bench, store, dir);
	if (r == 0)
		r = process_run(check, ANYWHERE, NULL);
	if (r == 0)
		r = process_run(squash, ANYWHERE, NULL);
	if (r < 0)
		return r;
	return compare_sizes(
		bench, "store", store, "squashfs lz4", squashfs,
		&(struct goal){"base and 10 diffs of 5 %", "MiB", RATIO_OF_TIMES, 0.18, 0.12});
}
