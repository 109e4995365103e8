/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A picture a row: a line a figure, on a logarithmic axis of its ratio (or value), with
 * a dot for each pair, a bar at the median and a dashed one at the target.
 */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "bench/place.h"
#include "bench/report.h"

#define LEFT 260
#define WIDTH 480
#define LINE 44
#define TOP 40

struct axis {
	double least;
	double most;
};

static void axis_add(struct axis *axis, double value)
{
	if (value <= 0)
		return;
	axis->least = axis->least == 0 ? value : fmin(axis->least, value);
	axis->most = fmax(axis->most, value);
}

static double axis_x(const struct axis *axis, double value)
{
	double range = log(axis->most / axis->least);

	return LEFT + (range > 0 ? log(value / axis->least) / range : 0.5) * WIDTH;
}

static void text_print(FILE *out, double x, int y, const char *text)
{
	fprintf(out, "<text x=\"%.0f\" y=\"%d\">", x, y);
	for (; *text; text++)
		if (*text == '&' || *text == '<' || *text == '>')
			fprintf(out, "&#%d;", *text);
		else
			fputc(*text, out);
	fputs("</text>\n", out);
}

static void bar_print(FILE *out, double x, int y, const char *style)
{
	fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"%s\"/>\n", x, x,
		y - 12, y + 12, style);
}

static void figure_plot(const struct figure *f, int y, FILE *out)
{
	struct axis axis = {0, 0};
	char words[160];

	snprintf(words, sizeof(words), "%s: %.3g%s", f->label, f->spread.median,
		 f->goal.ratio == RATIO_NONE ? f->goal.unit : "x");
	text_print(out, 8, y + 4, words);
	axis_add(&axis, f->spread.least);
	axis_add(&axis, f->spread.most);
	axis_add(&axis, f->goal.target);
	if (axis.least == 0)
		return;
	fprintf(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"#ccc\"/>\n", LEFT,
		LEFT + WIDTH, y, y);
	for (size_t i = 0; i < f->n; i++)
		if (f->ratios[i] > 0)
			fprintf(out, "<circle cx=\"%.1f\" cy=\"%d\" r=\"4\" fill=\"#36c\"/>\n",
				axis_x(&axis, f->ratios[i]), y);
	bar_print(out, axis_x(&axis, f->spread.median), y, "#000");
	if (f->goal.target > 0)
		bar_print(out, axis_x(&axis, f->goal.target), y, "#c30\" stroke-dasharray=\"3 3");
	snprintf(words, sizeof(words), "%.3g", axis.least);
	text_print(out, LEFT, y + 18, words);
	snprintf(words, sizeof(words), "%.3g", axis.most);
	text_print(out, LEFT + WIDTH, y + 18, words);
}

int plot_row(const struct bench *bench, const struct row *row, const char *dir)
{
	const struct measuring *m = &bench->measuring;
	char name[64];
	char path[PATH_MAX];
	size_t n = 0;
	FILE *out;
	int r;

	for (size_t i = 0; i < m->nfigures; i++)
		n += strcmp(m->figures[i].row, row->name) == 0 && !m->figures[i].skipped[0];
	if (n == 0)
		return 0;
	snprintf(name, sizeof(name), "row-%s.svg", row->name);
	r = place_path(path, dir, name);
	if (r < 0)
		return r;
	out = fopen(path, "we");
	if (!out)
		return fail_with(-errno, "cannot write %s: %s", path, strerror(errno));
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n",
		LEFT + WIDTH + 60, TOP + n * LINE);
	snprintf(path, sizeof(path), "%s. %s; against: %s", row->name, row->what, row->against);
	text_print(out, 8, 18, path);
	for (size_t i = 0, line = 0; i < m->nfigures; i++)
		if (strcmp(m->figures[i].row, row->name) == 0 && !m->figures[i].skipped[0])
			figure_plot(&m->figures[i], TOP + LINE / 2 + (int)line++ * LINE, out);
	fputs("</svg>\n", out);
	return fclose(out) == 0 ? 0 : fail_with(-errno, "cannot write row-%s.svg", row->name);
}
