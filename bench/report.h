/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was measured, for people (a table), for programs (JSON) and as pictures.
 */
#ifndef PAGODA_BENCH_REPORT_H
#define PAGODA_BENCH_REPORT_H

#include <stdio.h>

#include "base/attributes.h"
#include "bench/bench.h"

/* On which machine and images; before the rows. */
void report_begin(const struct bench *bench, FILE *out);

/* The row with its figures, as they are in bench->measuring by now. failure: why it ended,
 * or NULL. */
void report_row(const struct bench *bench, const struct row *row, const char *failure, FILE *out);

/* One document with the rows that ran and their figures, to path. -errno with words. */
int report_json(const struct bench *bench, const struct row *const *ran, size_t n,
		const char *path) MUST_CHECK;

/* The figures of the row as dir/row-NAME.svg: a dot a pair, the median, the target.
 * Does nothing for a row without figures. -errno with words. */
int plot_row(const struct bench *bench, const struct row *row, const char *dir) MUST_CHECK;

#endif
