/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows 18 and 19: memory of the daemons, and whether what a page costs stays the same
 * as images and chains of layers grow.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/view-names.h"
#include "bench/access.h"
#include "bench/bench.h"
#include "bench/place.h"
#include "bench/process.h"
#include "bench/touch.h"

#define SEED 7
#define TOUCHES 2048
#define LAYERS 100
#define LAYERS_ONCE 12 /* where it is only to be seen that it works */
#define LAYER_IMAGE (32 * MIB)
#define LAYER_PERCENT 5

/* A snapshot in a store, and what it must hold. */
struct place_of {
	struct bench *bench;
	char store[PATH_MAX];
	const char *name;
	struct image image;
	double import_us; /* a page */
	char view[PATH_MAX];
	char mem[PATH_MAX];
	char socket[PATH_MAX];
	char log[PATH_MAX];
};

static int place_of_make(struct bench *bench, const char *store, const char *name,
			 struct place_of *ret)
{
	char file[NAME_MAX];
	int r = bench_row_path(bench, ret->store, store);

	ret->bench = bench;
	ret->name = name;
	snprintf(file, sizeof(file), "view/%s/mem", name);
	if (r == 0)
		r = bench_row_path(bench, ret->view, "view");
	if (r == 0)
		r = bench_row_path(bench, ret->mem, file);
	if (r == 0)
		r = bench_row_path(bench, ret->socket, "socket");
	return r < 0 ? r : bench_row_path(bench, ret->log, "log");
}

/* What was just written goes to the disk first: else that, and of a large image more of
 * it, is in the way of the import that is timed. */
static int settle(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fdatasync(fd) < 0)
		return fail_with(-errno, "cannot sync %s: %s", path, strerror(errno));
	return 0;
}

/* An image of size bytes in a store of its own; the raw file goes away again. */
static int large_make(struct bench *bench, const char *store, uint64_t size, struct place_of *ret)
{
	char raw[PATH_MAX];
	double seconds;
	int r = place_of_make(bench, store, "large", ret);

	ret->image = (struct image){.size = size};
	if (r == 0)
		r = bench_row_path(bench, raw, "raw");
	if (r == 0)
		r = image_make(raw, SEED, size);
	if (r == 0)
		r = settle(raw);
	if (r == 0)
		r = bench_init(bench, ret->store);
	if (r == 0)
		r = bench_import(bench, ret->store, "large", raw, NULL, &seconds);
	place_remove(raw);
	if (r == 0)
		ret->import_us = seconds * 1e6 / (double)(size / PAGE);
	return r;
}

/* ---- row 18 ---- */

static uint64_t daemon_memory(const char *view)
{
	char text[32] = "";

	if (getxattr(view, VIEW_XATTR_PID, text, sizeof(text) - 1) < 0)
		return 0;
	return process_memory((pid_t)strtol(text, NULL, 10));
}

static int touch_at(const struct place_of *p, struct touched *ret)
{
	struct touch touch = {.socket = p->socket,
			      .image = &p->image,
			      .made_seed = SEED,
			      .order = TOUCH_RANDOM,
			      .count = MIN((uint64_t)TOUCHES, p->image.size / PAGE),
			      .seed = 1};
	int r = bench_handler(p->bench, p->socket, p->mem, p->log, ANYWHERE, SERVE_ONE,
			      &touch.handler);

	if (r < 0)
		return r;
	r = process_call(touch_run, &touch, ANYWHERE, ret, sizeof(*ret));
	process_stop(touch.handler);
	if (r < 0)
		bench_log_show(p->log);
	return r;
}

static int memory_told(struct bench *bench, const char *who, uint64_t bytes, double target)
{
	struct comparison c = {
		.a = {.name = who},
		.ngoals = 1,
		.goals = {{"memory", "MiB", RATIO_NONE, target, target / 2}},
	};
	struct sample sample = {{(double)bytes / (double)MIB}};

	if (bytes == 0)
		return fail_with(-EIO, "the memory of %s cannot be told", who);
	return measure_once(&bench->measuring, &c, &sample, NULL);
}

int row_memory(struct bench *bench)
{
	const struct access access = {.kind = ACCESS_ORDERED, .made_seed = SEED};
	double gib = (double)bench->largest / (double)GIB;
	struct place_of p;
	struct access reading = access;
	struct accessed accessed;
	struct touched touched = {.worker_bytes = 0};
	uint64_t daemon = 0;
	int stopped;
	int r = large_make(bench, "store", bench->largest, &p);

	if (r == 0)
		r = bench_mount(bench, p.store, p.view, ANYWHERE);
	if (r < 0)
		return r;
	reading.path = p.mem;
	reading.image = &p.image;
	r = process_call(access_run, &reading, ANYWHERE, &accessed, sizeof(accessed));
	daemon = daemon_memory(p.view);
	if (r == 0)
		r = touch_at(&p, &touched);
	stopped = bench_unmount(bench, p.view);
	r = r < 0 ? r : stopped;
	if (r == 0)
		r = memory_told(bench, "pagodafs", daemon, 8 + 2.5 * gib);
	return r < 0 ? r
		     : memory_told(bench, "handler worker", touched.worker_bytes,
				   1 + 160.0 / 1024 * gib);
}

/* ---- row 19 ---- */

struct opened {
	double us;
};

static int open_run(const void *path, void *ret_opened)
{
	uint64_t begun = clock_monotonic_ns();
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail_with(-errno, "cannot open %s: %s", (const char *)path, strerror(errno));
	((struct opened *)ret_opened)->us =
		(double)(clock_monotonic_ns() - begun) / (double)NS_PER_US;
	return 0;
}

/* The first open of a fresh daemon, random reads, faults. */
static int visit(const struct place_of *p, struct sample *ret)
{
	struct access reading = {.path = p->mem,
				 .image = &p->image,
				 .made_seed = SEED,
				 .kind = ACCESS_RANDOM,
				 .count = TOUCHES,
				 .seed = 3};
	struct accessed accessed;
	struct touched touched;
	struct opened opened;
	int r = process_call(open_run, p->mem, ANYWHERE, &opened, sizeof(opened));

	if (r == 0)
		r = process_call(access_run, &reading, ANYWHERE, &accessed, sizeof(accessed));
	if (r == 0)
		r = touch_at(p, &touched);
	if (r < 0)
		return r;
	ret->value[0] = opened.us * 1000 / (double)(p->image.size / PAGE);
	ret->value[1] = accessed.p50_us;
	ret->value[2] = touched.p50_us;
	return 0;
}

static int visit_once(void *argument, struct sample *ret)
{
	const struct place_of *p = argument;
	int stopped;
	int r = bench_mount(p->bench, p->store, p->view, ANYWHERE);

	if (r < 0)
		return r;
	r = visit(p, ret);
	stopped = bench_unmount(p->bench, p->view);
	return r < 0 ? r : stopped;
}

static int compare_places(struct bench *bench, const char *a_name, struct place_of *a,
			  const char *b_name, struct place_of *b)
{
	struct comparison imports = {
		.a = {.name = a_name},
		.b = {.name = b_name},
		.ngoals = 1,
		.goals = {{"import, a page", "us", RATIO_OF_TIMES, 0, 0}},
	};
	struct comparison visits = {
		.a = {a_name, visit_once, a},
		.b = {b_name, visit_once, b},
		.ngoals = 3,
		.goals = {{"first open, a thousand pages", "us", RATIO_OF_TIMES, 0, 0},
			  {"random read p50", "us", RATIO_OF_TIMES, 0, 0},
			  {"fault p50", "us", RATIO_OF_TIMES, 0, 0}},
	};
	const struct sample import_a = {{a->import_us}};
	const struct sample import_b = {{b->import_us}};
	int r = measure_once(&bench->measuring, &imports, &import_a, &import_b);

	return r < 0 ? r : measure(&bench->measuring, &visits);
}

static int grow_size(struct bench *bench)
{
	uint64_t smallest = MIN(GIB, bench->largest / 4);
	struct place_of one;
	struct place_of large;
	char name[32];
	int r = large_make(bench, "one", smallest, &one);

	for (uint64_t size = smallest * 4; r == 0 && size <= bench->largest; size *= 4) {
		snprintf(name, sizeof(name), "%g GiB", (double)size / (double)GIB);
		r = large_make(bench, "large", size, &large);
		if (r == 0)
			r = compare_places(bench, name, &large,
					   smallest == GIB ? "1 GiB" : "a quarter", &one);
		place_remove(large.store);
	}
	return r;
}

/* An image of a chain, and a store that has the same in one layer: a page that was zero
 * in the first layer may be data in the last, so that the first is no measure. */
struct deep {
	unsigned int layers;
	struct place_of chain;
	struct place_of flat;
};

static int deep_keep(struct bench *bench, struct deep *d, const char *raw, const char *name,
		     double seconds)
{
	char store[NAME_MAX];
	int r = place_of_make(bench, "chain", name, &d->chain);

	d->chain.import_us = seconds * 1e6 / (double)(LAYER_IMAGE / PAGE);
	snprintf(store, sizeof(store), "flat%u", d->layers);
	if (r == 0)
		r = place_of_make(bench, store, name, &d->flat);
	if (r == 0)
		r = bench_init(bench, d->flat.store);
	if (r == 0)
		r = bench_import(bench, d->flat.store, name, raw, NULL, &seconds);
	d->flat.import_us = seconds * 1e6 / (double)(LAYER_IMAGE / PAGE);
	if (r == 0)
		r = image_load(raw, &d->chain.image);
	if (r == 0)
		r = image_load(raw, &d->flat.image);
	return r;
}

/* A chain as long as the last of them is deep. */
static int chain_make(struct bench *bench, const char *store, struct deep *deep, size_t ndeep)
{
	static char names[LAYERS + 1][8];
	char raw[PATH_MAX];
	struct image image = {.bytes = NULL};
	double seconds;
	size_t next = 0;
	int r = bench_row_path(bench, raw, "raw");

	if (r == 0)
		r = image_make(raw, SEED, LAYER_IMAGE);
	if (r == 0)
		r = image_load(raw, &image);
	for (unsigned int i = 1; r == 0 && next < ndeep; i++) {
		snprintf(names[i], sizeof(names[i]), "l%u", i);
		r = image_change(&image, raw, i, LAYER_PERCENT);
		if (r == 0)
			r = settle(raw);
		if (r == 0)
			r = bench_import(bench, store, names[i], raw, i > 1 ? names[i - 1] : NULL,
					 &seconds);
		if (r == 0 && i == deep[next].layers)
			r = deep_keep(bench, &deep[next++], raw, names[i], seconds);
	}
	image_free(&image);
	return r;
}

static int grow_depth(struct bench *bench)
{
	struct deep deep[] = {{.layers = 10},
			      {.layers = bench->measuring.once ? LAYERS_ONCE : LAYERS}};
	char store[PATH_MAX];
	char name[32];
	int r = bench_row_path(bench, store, "chain");

	if (r == 0)
		r = bench_init(bench, store);
	if (r == 0)
		r = chain_make(bench, store, deep, ARRAY_SIZE(deep));
	for (size_t i = 0; i < ARRAY_SIZE(deep); i++) {
		snprintf(name, sizeof(name), "%u layers", deep[i].layers);
		if (r == 0)
			r = compare_places(bench, name, &deep[i].chain, "1 layer", &deep[i].flat);
		image_free(&deep[i].chain.image);
		image_free(&deep[i].flat.image);
	}
	return r;
}

int row_growth(struct bench *bench)
{
	int r = grow_size(bench);

	return r < 0 ? r : grow_depth(bench);
}
