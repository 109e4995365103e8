/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows 1, 2, 6 and 8: faults of a machine, served by pagoda-handler from the view and
 * by the published pattern from the raw file. Both files are in the page cache.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fail.h"
#include "bench/bench.h"
#include "bench/one-at-a-time.h"
#include "bench/place.h"
#include "bench/process.h"
#include "bench/touch.h"

#define FAULTS 4096
#define FILL_ZERO_PERCENT 57 /* of row 8: what a guest of 1 GiB had */

enum shown {
	SHOW_LATENCY, /* p50 and p99 */
	SHOW_SECONDS,
};

/* What machines are restored from: an image, and where it is shown. */
struct place {
	const struct image *image;
	char mem[PATH_MAX]; /* <view>/<snapshot>/mem */
};

/* One side: a handler, and a machine on it. */
struct service {
	const struct bench *bench;
	const struct place *place;
	struct touch touch;
	int machine_cpu;
	int handler_cpu;
	bool is_pagoda;
	enum serving serving;
	enum shown shown;
	char socket[PATH_MAX];
	char log[PATH_MAX]; /* of pagoda-handler */
};

static int handler_start(const struct service *s, pid_t *ret)
{
	const struct bench *b = s->bench;
	struct one_at_a_time other = {.socket = s->socket,
				      .image = s->place->image->path,
				      .fill = s->touch.order == TOUCH_NONE};

	if (s->is_pagoda)
		return bench_handler(b, s->socket, s->place->mem, s->log, s->handler_cpu,
				     s->serving, ret);
	return process_serve_function(one_at_a_time_serve, &other, s->handler_cpu, ret);
}

static int serve_once(void *argument, struct sample *ret)
{
	struct service *s = argument;
	struct touched touched;
	pid_t handler;
	int r = handler_start(s, &handler);

	if (r < 0)
		return r;
	s->touch.handler = handler;
	r = process_call(touch_run, &s->touch, s->machine_cpu, &touched, sizeof(touched));
	process_stop(handler);
	if (r < 0) {
		bench_log_show(s->log);
		return r;
	}
	ret->value[0] = s->shown == SHOW_LATENCY ? touched.p50_us : touched.seconds;
	ret->value[1] = touched.p99_us;
	return 0;
}

static int service_make(const struct bench *bench, const struct place *place, bool is_pagoda,
			enum touch_order order, size_t count, struct service *ret)
{
	int r;

	*ret = (struct service){
		.bench = bench,
		.place = place,
		.is_pagoda = is_pagoda,
		.serving = order == TOUCH_NONE ? SERVE_ONE_AND_FILL : SERVE_ONE,
		.machine_cpu = ANYWHERE,
		.handler_cpu = ANYWHERE,
		.touch = {.image = place->image,
			  .order = order,
			  .count = MIN(count, place->image->size / PAGE),
			  .seed = 1},
	};
	r = bench_row_path(bench, ret->socket, "socket");
	return r < 0 ? r : bench_row_path(bench, ret->log, "log");
}

/* The file that the handler of that side reads. */
static int side_warm(const struct service *s)
{
	return place_warm(s->is_pagoda ? s->place->mem : s->place->image->path);
}

/* Compares the two with machine and handler on these processors. */
static int compare_sides(struct bench *bench, struct service *a, struct service *b,
			 const int cpus[2], struct comparison *c)
{
	int r = side_warm(a);

	if (r == 0)
		r = side_warm(b);
	if (r < 0)
		return r;
	a->touch.socket = a->socket;
	b->touch.socket = b->socket;
	a->machine_cpu = b->machine_cpu = cpus[0];
	a->handler_cpu = b->handler_cpu = cpus[1];
	a->shown = b->shown = c->goals[0].unit[0] == 'u' ? SHOW_LATENCY : SHOW_SECONDS;
	c->a.run = c->b.run = serve_once;
	c->a.argument = a;
	c->b.argument = b;
	return measure(&bench->measuring, c);
}

/* With the published pattern. */
static int compare_at(struct bench *bench, const struct place *place, enum touch_order order,
		      size_t count, const int cpus[2], struct comparison *c)
{
	struct service a;
	struct service b;
	int r = service_make(bench, place, true, order, count, &a);

	if (r == 0)
		r = service_make(bench, place, false, order, count, &b);
	if (r < 0)
		return r;
	c->a.name = "pagoda-handler";
	c->b.name = order == TOUCH_NONE ? "all in 2 MiB runs" : "one-at-a-time";
	return compare_sides(bench, &a, &b, cpus, c);
}

static int bench_place(struct bench *bench, struct place *ret)
{
	int r = bench_view(bench);

	ret->image = &bench->image;
	return r < 0 ? r : place_path(ret->mem, bench->view, "a/mem");
}

/* The same with the image of the bench. */
static int compare(struct bench *bench, enum touch_order order, size_t count, const int cpus[2],
		   struct comparison *c)
{
	struct place place;
	int r = bench_place(bench, &place);

	return r < 0 ? r : compare_at(bench, &place, order, count, cpus, c);
}

static const int apart[] = {0, 1};
static const int together[] = {0, 0};
static const int anywhere[] = {ANYWHERE, ANYWHERE};

int row_fault(struct bench *bench)
{
	struct comparison pinned = {
		.ngoals = 2,
		.goals = {{"p50, pinned", "us", RATIO_OF_TIMES, 0.45, 0.33},
			  {"p99, pinned", "us", RATIO_OF_TIMES, 0.7, 0}},
	};
	struct comparison unpinned = {
		.ngoals = 2,
		.goals = {{"p50, unpinned", "us", RATIO_OF_TIMES, 0, 0},
			  {"p99, unpinned", "us", RATIO_OF_TIMES, 0, 0}},
	};
	int r = sysconf(_SC_NPROCESSORS_ONLN) < 2
			? measure_skip(&bench->measuring, "pinned", "needs two processors")
			: compare(bench, TOUCH_RANDOM, FAULTS, apart, &pinned);

	if (r == 0)
		r = compare(bench, TOUCH_RANDOM, FAULTS, anywhere, &unpinned);
	return r < 0 ? r : row_fault_idle(bench);
}

int row_fault_one_cpu(struct bench *bench)
{
	struct comparison c = {
		.ngoals = 2,
		.goals = {{"p50, both on processor 0", "us", RATIO_OF_TIMES, 1.08, 1.0},
			  {"p99, both on processor 0", "us", RATIO_OF_TIMES, 0, 0}},
	};

	return compare(bench, TOUCH_RANDOM, FAULTS, together, &c);
}

/* ---- row 6 ---- */

/* What readahead costs who touches pages that nothing foretells. */
static int readahead_cost(struct bench *bench, size_t count)
{
	struct comparison c = {
		.a = {.name = "readahead"},
		.b = {.name = "none"},
		.ngoals = 1,
		.goals = {{"in random order, pinned", "s", RATIO_OF_TIMES, 1.05, 0}},
	};
	struct place place;
	struct service a;
	struct service b;
	int r = bench_place(bench, &place);

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return measure_skip(&bench->measuring, c.goals[0].label, "needs two processors");
	if (r == 0)
		r = service_make(bench, &place, true, TOUCH_RANDOM, count, &a);
	if (r == 0)
		r = service_make(bench, &place, true, TOUCH_RANDOM, count, &b);
	if (r < 0)
		return r;
	b.serving = SERVE_ONE_AS_TOUCHED;
	return compare_sides(bench, &a, &b, apart, &c);
}

int row_in_order(struct bench *bench)
{
	struct comparison upward = {
		.ngoals = 1,
		.goals = {{"wall time", "s", RATIO_FASTER, 12, 20}},
	};
	struct comparison downward = {
		.ngoals = 1,
		.goals = {{"a quarter of it, backward", "s", RATIO_FASTER, 0, 0}},
	};
	struct comparison two = {
		.ngoals = 1,
		.goals = {{"two eighths in turn", "s", RATIO_FASTER, 0, 0}},
	};
	size_t pages = bench->image.size / PAGE;
	int r = compare(bench, TOUCH_IN_ORDER, pages, anywhere, &upward);

	if (r == 0)
		r = compare(bench, TOUCH_BACKWARD, pages / 4, anywhere, &downward);
	if (r == 0)
		r = compare(bench, TOUCH_TWO, pages / 4, anywhere, &two);
	return r < 0 ? r : readahead_cost(bench, pages / 4);
}

/* ---- row 8 ---- */

/* Where the share is that of the definition, there is a target. */
static int fill_compare(struct bench *bench, const struct place *place, const char *which,
			bool is_defined)
{
	char label[64];
	struct comparison c = {
		.ngoals = 1,
		.goals = {{label, "s", RATIO_FASTER, is_defined ? 1.8 : 0, is_defined ? 2.2 : 0}},
	};

	snprintf(label, sizeof(label), "%s, %.0f %% zero pages", which,
		 100.0 * (double)place->image->zero_pages / (double)(place->image->size / PAGE));
	return compare_at(bench, place, TOUCH_NONE, place->image->size / PAGE, anywhere, &c);
}

static int fill_bench_image(struct bench *bench)
{
	struct place place;
	int r = bench_place(bench, &place);

	return r < 0 ? r
		     : fill_compare(bench, &place,
				    bench->image.is_made ? "a made image" : "the guest", false);
}

/* An image of that share, shown by a daemon of its own. */
static int place_made(struct bench *bench, const char *view, struct image *image, struct place *ret)
{
	char store[PATH_MAX];
	char raw[PATH_MAX];
	int r = bench_row_path(bench, store, "store");

	if (r == 0)
		r = bench_row_path(bench, raw, "raw");
	if (r == 0)
		r = place_path(ret->mem, view, "runs/mem");
	if (r == 0)
		r = image_make_runs(raw, 8, bench->image.size, FILL_ZERO_PERCENT);
	if (r == 0)
		r = image_load(raw, image);
	if (r == 0)
		r = bench_init(bench, store);
	if (r == 0)
		r = bench_import(bench, store, "runs", raw, NULL, NULL);
	ret->image = image;
	return r < 0 ? r : bench_mount(bench, store, view, ANYWHERE);
}

static int fill_made_image(struct bench *bench)
{
	struct image image = {.bytes = NULL};
	struct place place;
	char view[PATH_MAX];
	int stopped;
	int r = bench_row_path(bench, view, "view");

	if (r == 0)
		r = place_made(bench, view, &image, &place);
	if (r == 0) {
		r = fill_compare(bench, &place, "made in runs", true);
		stopped = bench_unmount(bench, view);
		r = r < 0 ? r : stopped;
	}
	image_free(&image);
	return r;
}

int row_fill(struct bench *bench)
{
	int r = fill_made_image(bench);

	return r < 0 ? r : fill_bench_image(bench);
}
