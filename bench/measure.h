/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring two sides against each other, and what came of it.
 *
 * The sides alternate A B B A A B B A ..., so that a machine that becomes slower or
 * faster meanwhile does so to both; a ratio is that of one pair, and the median of the
 * ratios is the figure. One run may yield several values (p50 and p99): several figures.
 *
 * One thread. 0 or -errno, with words.
 */
#ifndef PAGODA_BENCH_MEASURE_H
#define PAGODA_BENCH_MEASURE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

#define VALUES_MOST 3 /* of one run */

struct sample {
	double value[VALUES_MOST];
};

typedef int (*side_run)(void *argument, struct sample *ret);

struct side {
	const char *name;
	side_run run;
	void *argument; /* borrowed */
};

/* Which ratio is told. */
enum ratio {
	RATIO_OF_TIMES, /* A / B, and less is better: "0.45x" of the time */
	RATIO_FASTER,	/* B / A of times, more is better: "12x faster" */
	RATIO_OF_RATES, /* A / B of rates, more is better: "0.8x" of the rate */
	RATIO_NONE,	/* A alone, in its unit, less is better */
};

struct goal {
	const char *label;
	const char *unit;
	enum ratio ratio;
	double target; /* 0: there is none */
	double stretch;
};

struct comparison {
	struct side a;
	struct side b; /* run is NULL where nothing is compared */
	size_t ngoals;
	struct goal goals[VALUES_MOST];
};

struct spread {
	double median;
	double least;
	double most;
};

/* All texts are copies, or of the program. */
struct figure {
	const char *row;
	char label[96];
	char skipped[160]; /* why it was not measured; then the rest is empty */
	char a[48];
	char b[48];
	struct goal goal;
	size_t n;
	double *values_a; /* owned, n each */
	double *values_b;
	double *ratios;
	struct spread spread_a;
	struct spread spread_b;
	struct spread spread; /* of the ratios, or of A's values for RATIO_NONE */
};

struct measuring {
	const char *row; /* that runs */
	size_t pairs;
	bool once;			   /* no run that is not counted */
	const volatile sig_atomic_t *stop; /* borrowed: not 0, and the next run is -EINTR */
	struct figure *figures;
	size_t nfigures;
};

/* Runs both sides and appends a figure a goal. */
int measure(struct measuring *measuring, const struct comparison *comparison) MUST_CHECK;

/* A value that is the same each time, such as a size: no runs. */
int measure_once(struct measuring *measuring, const struct comparison *comparison,
		 const struct sample *a, const struct sample *b) MUST_CHECK;

/* Says that something of the row is not measured here. */
int measure_skip(struct measuring *measuring, const char *label, const char *format, ...) MUST_CHECK
	PRINTF_LIKE(3, 4);

/* Is the target met? true where there is none. */
bool figure_is_met(const struct figure *figure);

void measuring_done(struct measuring *measuring);

/* Of n values, n > 0. Sorts them. */
double measure_quantile(double *values, size_t n, double quantile);

#endif
