/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/measure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

double measure_quantile(double *values, size_t n, double quantile)
{
	double at = quantile * (double)(n - 1);
	size_t below = (size_t)at;

	qsort(values, n, sizeof(values[0]), compare_doubles);
	if (below + 1 >= n)
		return values[n - 1];
	return values[below] + (values[below + 1] - values[below]) * (at - (double)below);
}

static int spread_of(const double *values, size_t n, struct spread *ret)
{
	AUTO_FREE double *sorted = malloc(n * sizeof(values[0]));

	if (!sorted)
		return fail_with(-ENOMEM, "out of memory");
	memcpy(sorted, values, n * sizeof(values[0]));
	*ret = (struct spread){.median = measure_quantile(sorted, n, 0.5)};
	ret->least = sorted[0];
	ret->most = sorted[n - 1];
	return 0;
}

static double ratio_of(enum ratio ratio, double a, double b)
{
	if (ratio == RATIO_NONE)
		return a;
	return ratio == RATIO_FASTER ? b / a : a / b;
}

static int figure_new(struct measuring *m, struct figure **ret)
{
	struct figure *more = reallocarray(m->figures, m->nfigures + 1, sizeof(m->figures[0]));

	if (!more)
		return fail_with(-ENOMEM, "out of memory");
	m->figures = more;
	*ret = &more[m->nfigures++];
	**ret = (struct figure){.row = m->row};
	return 0;
}

/* Makes the figure of goal i from the samples. */
static int figure_make(struct measuring *m, const struct comparison *c, size_t goal,
		       const struct sample *a, const struct sample *b, size_t n)
{
	struct figure *f;
	int r = figure_new(m, &f);

	if (r < 0)
		return r;
	f->goal = c->goals[goal];
	snprintf(f->label, sizeof(f->label), "%s", f->goal.label);
	snprintf(f->a, sizeof(f->a), "%s", c->a.name);
	snprintf(f->b, sizeof(f->b), "%s", c->b.name ? c->b.name : "");
	f->values_a = calloc(n, sizeof(double));
	f->values_b = calloc(n, sizeof(double));
	f->ratios = calloc(n, sizeof(double));
	if (!f->values_a || !f->values_b || !f->ratios)
		return fail_with(-ENOMEM, "out of memory");
	f->n = n;
	for (size_t i = 0; i < n; i++) {
		f->values_a[i] = a[i].value[goal];
		f->values_b[i] = b[i].value[goal];
		f->ratios[i] = ratio_of(f->goal.ratio, f->values_a[i], f->values_b[i]);
	}
	r = spread_of(f->values_a, n, &f->spread_a);
	if (r == 0)
		r = spread_of(f->values_b, n, &f->spread_b);
	return r < 0 ? r : spread_of(f->ratios, n, &f->spread);
}

static int side_run_once(const struct side *side, struct sample *ret)
{
	int r;

	if (!side->run)
		return 0;
	r = side->run(side->argument, ret);
	return r < 0 ? fail_prefix(r, "%s", side->name) : 0;
}

static int pair_run(const struct measuring *m, const struct comparison *c, size_t i,
		    struct sample *a, struct sample *b)
{
	int r;

	if (m->stop && *m->stop)
		return fail_with(-EINTR, "stopped by a signal");
	if (i % 2) {
		r = side_run_once(&c->b, b);
		return r < 0 ? r : side_run_once(&c->a, a);
	}
	r = side_run_once(&c->a, a);
	return r < 0 ? r : side_run_once(&c->b, b);
}

int measure(struct measuring *m, const struct comparison *c)
{
	AUTO_FREE struct sample *a = calloc(m->pairs, sizeof(*a));
	AUTO_FREE struct sample *b = calloc(m->pairs, sizeof(*b));
	int r = 0;

	if (!a || !b)
		return fail_with(-ENOMEM, "out of memory");
	if (!m->once)
		r = pair_run(m, c, 0, &a[0], &b[0]);
	for (size_t i = 0; r == 0 && i < m->pairs; i++)
		r = pair_run(m, c, i, &a[i], &b[i]);
	for (size_t goal = 0; r == 0 && goal < c->ngoals; goal++)
		r = figure_make(m, c, goal, a, b, m->pairs);
	return r;
}

int measure_once(struct measuring *m, const struct comparison *c, const struct sample *a,
		 const struct sample *b)
{
	static const struct sample nothing;
	int r = 0;

	for (size_t goal = 0; r == 0 && goal < c->ngoals; goal++)
		r = figure_make(m, c, goal, a, b ? b : &nothing, 1);
	return r;
}

int measure_skip(struct measuring *m, const char *label, const char *format, ...)
{
	struct figure *f;
	va_list args;
	int r = figure_new(m, &f);

	if (r < 0)
		return r;
	snprintf(f->label, sizeof(f->label), "%s", label);
	va_start(args, format);
	vsnprintf(f->skipped, sizeof(f->skipped), format, args);
	va_end(args);
	return 0;
}

bool figure_is_met(const struct figure *f)
{
	if (f->goal.target == 0)
		return true;
	if (f->goal.ratio == RATIO_OF_TIMES || f->goal.ratio == RATIO_NONE)
		return f->spread.median <= f->goal.target;
	return f->spread.median >= f->goal.target;
}

void measuring_done(struct measuring *m)
{
	for (size_t i = 0; i < m->nfigures; i++) {
		free(m->figures[i].values_a);
		free(m->figures[i].values_b);
		free(m->figures[i].ratios);
	}
	free(m->figures);
}
