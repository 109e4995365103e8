/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows 16 and 17: drafts. What a patch of one page costs, and what a fork costs, the
 * start of the program included.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "bench/access.h"
#include "bench/bench.h"
#include "bench/place.h"
#include "bench/process.h"
#include "bench/shown.h"

#define WRITES 2048
#define SYNCS 128
#define SPARSE (64 * GIB)

struct writer {
	struct access access;
	int cpu;
};

static int write_once(void *argument, struct sample *ret)
{
	struct writer *w = argument;
	struct accessed accessed;
	int r = process_call(access_run, &w->access, w->cpu, &accessed, sizeof(accessed));

	w->access.seed++;
	if (r < 0)
		return r;
	ret->value[0] = accessed.p50_us;
	ret->value[1] = accessed.p99_us;
	return 0;
}

static int fork_run(const struct bench *bench, const char *store, const char *parent,
		    const char *name, double *ret_seconds)
{
	const char *const argv[] = {bench->pagoda, "-q", "-s", store, "fork", parent, name, NULL};

	return process_run(argv, ANYWHERE, ret_seconds);
}

/* Writes to a draft on those processors, against the other file. */
static int compare(struct bench *bench, const char *file, const char *other_name, const char *other,
		   enum access_kind kind, int cpu, const struct goal *goals)
{
	const struct access access = {.image = &bench->image,
				      .kind = kind,
				      .count = kind == ACCESS_SYNC ? SYNCS : WRITES,
				      .seed = 1};
	struct writer a = {.access = access, .cpu = cpu};
	struct writer b = {.access = access, .cpu = cpu};
	struct comparison c = {
		.a = {"draft", write_once, &a},
		.b = {other_name, write_once, &b},
		.ngoals = 2,
		.goals = {goals[0], goals[1]},
	};

	a.access.path = file;
	b.access.path = other;
	return measure(&bench->measuring, &c);
}

/* Both mounted on one processor, the writer on another; or all anywhere. */
static int compare_writes(struct bench *bench, const int cpus[2], const struct goal goals[2])
{
	struct shown draft;
	struct shown null_fuse;
	char file[PATH_MAX];
	int stopped;
	int r = shown_start(bench, SHOWN_BY_PAGODAFS, cpus[1], &draft);

	if (r < 0)
		return r;
	r = shown_start(bench, SHOWN_BY_NULL_FUSE, cpus[1], &null_fuse);
	if (r == 0) {
		r = place_path(file, draft.dir, "draft/mem");
		if (r == 0)
			r = compare(bench, file, "null-fuse", null_fuse.file, ACCESS_WRITE, cpus[0],
				    goals);
		stopped = shown_stop(&null_fuse);
		r = r < 0 ? r : stopped;
	}
	stopped = shown_stop(&draft);
	return r < 0 ? r : stopped;
}

static int compare_syncs(struct bench *bench)
{
	static const struct goal goals[] = {
		{"write and fdatasync, p50", "us", RATIO_OF_TIMES, 1.7, 1.4},
		{"write and fdatasync, p99", "us", RATIO_OF_TIMES, 0, 0}};
	char raw[PATH_MAX];
	char file[PATH_MAX];
	const char *const copy[] = {"cp", "--sparse=never", bench->image.path, raw, NULL};
	struct shown draft;
	int stopped;
	int r = bench_row_path(bench, raw, "raw");

	if (r == 0)
		r = process_run(copy, ANYWHERE, NULL);
	if (r == 0)
		r = shown_start(bench, SHOWN_BY_PAGODAFS, ANYWHERE, &draft);
	if (r < 0)
		return r;
	r = place_path(file, draft.dir, "draft/mem");
	sync();
	if (r == 0)
		r = compare(bench, file, "raw file", raw, ACCESS_SYNC, ANYWHERE, goals);
	stopped = shown_stop(&draft);
	return r < 0 ? r : stopped;
}

/* A store of our own with a draft. */
static int draft_make(struct bench *bench)
{
	char store[PATH_MAX];
	int r = bench_view(bench);

	if (r == 0)
		r = bench_row_path(bench, store, "store");
	if (r == 0)
		r = bench_init(bench, store);
	if (r == 0)
		r = bench_import(bench, store, "a", bench->image.path, NULL, NULL);
	if (r == 0)
		r = fork_run(bench, store, "a", "draft", NULL);
	return r;
}

static int patch(struct bench *bench)
{
	static const struct goal pinned[] = {{"write p50, pinned", "us", RATIO_OF_TIMES, 1.5, 1.1},
					     {"write p99, pinned", "us", RATIO_OF_TIMES, 0, 0}};
	static const struct goal unpinned[] = {{"write p50, unpinned", "us", RATIO_OF_TIMES, 0, 0},
					       {"write p99, unpinned", "us", RATIO_OF_TIMES, 0, 0}};
	int r = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		r = measure_skip(&bench->measuring, "pinned", "needs two processors");
	else
		r = compare_writes(bench, (const int[]){0, 1}, pinned);
	if (r == 0)
		r = compare_writes(bench, (const int[]){ANYWHERE, ANYWHERE}, unpinned);
	return r < 0 ? r : compare_syncs(bench);
}

int row_patch(struct bench *bench)
{
	char shared_store[PATH_MAX];
	int r = draft_make(bench);

	if (r == -ENOSYS)
		return measure_skip(&bench->measuring, "draft", "not built: pagoda fork");
	if (r < 0)
		return r;
	/* shown_start() shows the store of the bench: that is ours for now */
	snprintf(shared_store, sizeof(shared_store), "%s", bench->store);
	r = bench_row_path(bench, bench->store, "store");
	if (r == 0)
		r = patch(bench);
	snprintf(bench->store, sizeof(bench->store), "%s", shared_store);
	return r;
}

struct forking {
	struct bench *bench;
	const char *parent;
	char store[PATH_MAX];
	unsigned int n;
};

static int fork_once(void *argument, struct sample *ret)
{
	struct forking *f = argument;
	char name[32];
	int r;

	snprintf(name, sizeof(name), "%s-%u", f->parent, f->n++);
	r = fork_run(f->bench, f->store, f->parent, name, &ret->value[0]);
	ret->value[0] *= 1000;
	return r;
}

static int sparse_make(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)SPARSE) < 0)
		return fail_with(-errno, "cannot make %s: %s", path, strerror(errno));
	return 0;
}

int row_fork(struct bench *bench)
{
	struct forking f = {.bench = bench, .parent = "a"};
	struct comparison c = {
		.a = {"pagoda fork", fork_once, &f},
		.ngoals = 1,
		.goals = {{"of the image", "ms", RATIO_NONE, 5, 1}},
	};
	char sparse[PATH_MAX];
	int r = bench_row_path(bench, f.store, "store");

	if (r == 0)
		r = bench_row_path(bench, sparse, "sparse");
	if (r == 0)
		r = sparse_make(sparse);
	if (r == 0)
		r = bench_init(bench, f.store);
	if (r == 0)
		r = bench_import(bench, f.store, "a", bench->image.path, NULL, NULL);
	if (r == 0)
		r = bench_import(bench, f.store, "sparse", sparse, NULL, NULL);
	if (r == 0)
		r = measure(&bench->measuring, &c);
	if (r == -ENOSYS)
		return measure_skip(&bench->measuring, "fork", "not built: pagoda fork");
	f.parent = "sparse";
	c.goals[0].label = "of 64 GiB, all hole";
	return r < 0 ? r : measure(&bench->measuring, &c);
}
