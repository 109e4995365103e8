/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows 11, 11b and 12: reading the shown image. In a cold view what is read is not in
 * the page cache, though what it is made from is; all cold, that is not there either and
 * the server has just been started.
 */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "base/fail.h"
#include "bench/access.h"
#include "bench/bench.h"
#include "bench/fio.h"
#include "bench/place.h"
#include "bench/process.h"
#include "bench/shown.h"

#define READS 8192
#define READS_COLD 1024

enum temperature {
	WARM,
	VIEW_COLD,
	ALL_COLD,
};

struct reader {
	struct shown shown;
	struct access access;
	int cpu;
	enum temperature temperature;
};

/* How fast the kernel copies what it has cached goes by where in memory that lies, up
 * to two times: each run has a new draw, so that neither side keeps a lucky one. */
static int fill_anew(const struct shown *shown)
{
	int r = shown_cool(shown);

	return r < 0 ? r : place_warm(shown->file);
}

static int read_once(void *argument, struct sample *ret)
{
	struct reader *reader = argument;
	struct accessed accessed;
	int r = 0;

	if (reader->temperature == ALL_COLD)
		r = shown_freeze(&reader->shown);
	if (r == 0 && reader->temperature == WARM)
		r = fill_anew(&reader->shown);
	if (r == 0 && reader->temperature == VIEW_COLD && reader->shown.by != SHOWN_BY_DISK)
		r = shown_cool(&reader->shown);
	if (r == 0)
		r = process_call(access_run, &reader->access, reader->cpu, &accessed,
				 sizeof(accessed));
	if (r < 0)
		return r;
	ret->value[0] =
		reader->access.kind == ACCESS_ORDERED ? accessed.seconds : accessed.per_second;
	return 0;
}

/* fio compares nothing: the same is read once more by who does. */
static int read_by_fio(void *argument, struct sample *ret)
{
	struct reader *reader = argument;
	struct accessed accessed;
	char work[PATH_MAX];
	int r = shown_cool(&reader->shown);

	if (r == 0)
		r = bench_row_path(reader->shown.bench, work, "");
	if (r == 0)
		r = fio_random_reads(reader->shown.file,
				     MIN((uint64_t)READS, reader->access.image->size / PAGE), work,
				     &ret->value[0]);
	return r < 0 ? r
		     : process_call(access_run, &reader->access, ANYWHERE, &accessed,
				    sizeof(accessed));
}

static int reader_start(const struct bench *bench, enum shown_by by, const int cpus[2],
			const struct access *access, enum temperature temperature,
			struct reader *ret)
{
	int r;

	*ret = (struct reader){.access = *access, .cpu = cpus[0], .temperature = temperature};
	r = shown_start(bench, by, cpus[1], &ret->shown);
	ret->access.path = ret->shown.file;
	ret->access.image = &bench->image;
	return r;
}

/* pagodafs against the other. */
static int compare(struct bench *bench, enum shown_by by, const int cpus[2],
		   const struct access *access, enum temperature temperature, side_run run,
		   const struct goal *goal)
{
	struct comparison c = {.ngoals = 1, .goals = {*goal}};
	struct reader a;
	struct reader b;
	int stopped;
	int r = bench_view(bench);

	if (r == 0)
		r = reader_start(bench, SHOWN_BY_PAGODAFS, cpus, access, temperature, &a);
	if (r < 0)
		return r;
	r = reader_start(bench, by, cpus, access, temperature, &b);
	if (r == 0) {
		c.a = (struct side){shown_name(SHOWN_BY_PAGODAFS), run, &a};
		c.b = (struct side){shown_name(by), run, &b};
		r = measure(&bench->measuring, &c);
		stopped = shown_stop(&b.shown);
		r = r < 0 ? r : stopped;
	}
	stopped = shown_stop(&a.shown);
	return r < 0 ? r : stopped;
}

static const int pinned[] = {0, 1};
static const int anywhere[] = {ANYWHERE, ANYWHERE};
static const struct access random_reads = {.kind = ACCESS_RANDOM, .count = READS, .seed = 1};
static const struct access ordered_reads = {.kind = ACCESS_ORDERED};

static const char *squashfuse_lacks(void)
{
	if (!process_is_installed("squashfuse_ll"))
		return "squashfuse";
	return process_is_installed("mksquashfs") ? NULL : "squashfs-tools";
}

int row_random_reads(struct bench *bench)
{
	const char *lacks = squashfuse_lacks();
	int r = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		r = measure_skip(&bench->measuring, "pinned", "needs two processors");
	else
		r = compare(
			bench, SHOWN_BY_NULL_FUSE, pinned, &random_reads, VIEW_COLD, read_once,
			&(struct goal){"view cold, pinned", "reads/s", RATIO_OF_RATES, 0.8, 0.9});
	if (r == 0)
		r = compare(bench, SHOWN_BY_NULL_FUSE, anywhere, &random_reads, VIEW_COLD,
			    read_once,
			    &(struct goal){"view cold, unpinned", "reads/s", RATIO_OF_RATES, 0, 0});
	if (r == 0 && !process_is_installed("fio"))
		r = measure_skip(&bench->measuring, "fio", "needs fio");
	else if (r == 0)
		r = compare(bench, SHOWN_BY_NULL_FUSE, anywhere, &random_reads, VIEW_COLD,
			    read_by_fio,
			    &(struct goal){"view cold, by fio", "reads/s", RATIO_OF_RATES, 0, 0});
	if (r < 0)
		return r;
	if (lacks)
		return measure_skip(&bench->measuring, "squashfuse_ll", "needs %s", lacks);
	if (sysconf(_SC_NPROCESSORS_ONLN) >= 2)
		r = compare(bench, SHOWN_BY_SQUASHFUSE, pinned, &random_reads, VIEW_COLD, read_once,
			    &(struct goal){"view cold, pinned", "reads/s", RATIO_OF_RATES, 3, 4});
	if (r < 0)
		return r;
	return compare(bench, SHOWN_BY_SQUASHFUSE, anywhere, &random_reads, VIEW_COLD, read_once,
		       &(struct goal){"view cold, unpinned", "reads/s", RATIO_OF_RATES, 0, 0});
}

int row_random_cold(struct bench *bench)
{
	const struct access access = {.kind = ACCESS_RANDOM, .count = READS_COLD, .seed = 2};
	const char *lacks = squashfuse_lacks();

	if (lacks)
		return measure_skip(&bench->measuring, "squashfuse_ll", "needs %s", lacks);
	return compare(bench, SHOWN_BY_SQUASHFUSE, anywhere, &access, ALL_COLD, read_once,
		       &(struct goal){"all cold", "reads/s", RATIO_OF_RATES, 1.7, 2});
}

int row_ordered_reads(struct bench *bench)
{
	int r = compare(bench, SHOWN_BY_NULL_FUSE, anywhere, &ordered_reads, VIEW_COLD, read_once,
			&(struct goal){"view cold", "s", RATIO_FASTER, 0.6, 0.75});

	if (r == 0)
		r = compare(bench, SHOWN_BY_DISK, anywhere, &ordered_reads, ALL_COLD, read_once,
			    &(struct goal){"all cold", "s", RATIO_FASTER, 0.9, 1.1});
	if (r == 0)
		r = compare(bench, SHOWN_BY_NULL_FUSE, anywhere, &ordered_reads, WARM, read_once,
			    &(struct goal){"again, warm", "s", RATIO_FASTER, 0.95, 1.0});
	return r;
}
