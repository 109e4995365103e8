/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bench: rows that measure one thing each, beside what people use for it today.
 *
 * A row is a function in a file row-*.c and a line in rows.c. It sets up what it
 * needs and gives measure() two sides, each a function that runs once, verifies what
 * it got, and says how long it took. measure() alternates them (A B B A ...) and
 * keeps the figures, which report.c and plot.c print.
 *
 * What a row leaves behind is removed with its directory (bench_row_dir). A side that
 * cannot run here is skipped with a reason; a wrong byte, or any other failure, ends
 * the row and in the end the program with an error. A figure never does.
 *
 * One thread. 0 or -errno, with words.
 */
#ifndef PAGODA_BENCH_BENCH_H
#define PAGODA_BENCH_BENCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "bench/image.h"
#include "bench/measure.h"

struct bench {
	char pagoda[PATH_MAX]; /* the programs under test */
	char handler[PATH_MAX];
	char dir[PATH_MAX]; /* of our own */
	struct image image;
	struct image later; /* the same guest, some seconds on */
	uint64_t largest;   /* bytes of the largest image of rows 18 and 19 */
	struct measuring measuring;
	/* the first image in a store, shown; made when first asked for */
	bool has_view;
	char store[PATH_MAX];
	char view[PATH_MAX]; /* the mount point */
	char mem[PATH_MAX];  /* <view>/a/mem */
};

struct row {
	const char *name;
	const char *what;
	const char *against;
	int (*run)(struct bench *bench) MUST_CHECK; /* NULL: not built */
	const char *waits_for;			    /* where it is not built */
};

/* In the order of their names; a row without a name ends them. */
extern const struct row rows[];

int row_fault(struct bench *bench) MUST_CHECK;
int row_fault_idle(struct bench *bench) MUST_CHECK; /* a figure of row 1 */
int row_fault_one_cpu(struct bench *bench) MUST_CHECK;
int row_in_order(struct bench *bench) MUST_CHECK;
int row_fill(struct bench *bench) MUST_CHECK;
int row_random_reads(struct bench *bench) MUST_CHECK;
int row_random_cold(struct bench *bench) MUST_CHECK;
int row_ordered_reads(struct bench *bench) MUST_CHECK;
int row_import(struct bench *bench) MUST_CHECK;
int row_size(struct bench *bench) MUST_CHECK;
int row_chain_size(struct bench *bench) MUST_CHECK;
int row_patch(struct bench *bench) MUST_CHECK;
int row_fork(struct bench *bench) MUST_CHECK;
int row_memory(struct bench *bench) MUST_CHECK;
int row_growth(struct bench *bench) MUST_CHECK;

/* bench->view and the others, mounted from any processor. */
int bench_view(struct bench *bench) MUST_CHECK;

/* What only the row needs is below this; removed when the row ends. */
int bench_row_path(const struct bench *bench, char ret[PATH_MAX], const char *name) MUST_CHECK;

/* pagoda init and pagoda import NAME IMAGE [--parent PARENT]; parent may be NULL. */
int bench_init(const struct bench *bench, const char *store) MUST_CHECK;
int bench_import(const struct bench *bench, const char *store, const char *name, const char *image,
		 const char *parent, double *ret_seconds) MUST_CHECK;

/* pagoda mount and umount; the daemon stays on that processor. */
int bench_mount(const struct bench *bench, const char *store, const char *dir, int cpu) MUST_CHECK;
int bench_unmount(const struct bench *bench, const char *dir) MUST_CHECK;

enum serving {
	SERVE_ONE, /* machine, then it ends */
	SERVE_ONE_AND_FILL,
	SERVE_ONE_AS_TOUCHED, /* no readahead */
	SERVE_MANY,
};

/* pagoda-handler on the source. Stopped by process_stop. What it says is in the file log;
 * bench_log_show prints that. */
int bench_handler(const struct bench *bench, const char *socket, const char *source,
		  const char *log, int cpu, enum serving serving, pid_t *ret) MUST_CHECK;
void bench_log_show(const char *log);

#endif
