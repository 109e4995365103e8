/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/report.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/units.h"
#include "bench/place.h"

static bool is_of(const struct figure *figure, const struct row *row)
{
	return strcmp(figure->row, row->name) == 0;
}

void report_begin(const struct bench *bench, FILE *out)
{
	const struct image *image = &bench->image;
	char size[UNITS_TEXT_MAX];
	char disk[UNITS_TEXT_MAX];
	struct utsname name;

	uname(&name);
	fprintf(out, "%s %s, %ld processors; read_ahead_kb of the disk %u\n", name.sysname,
		name.release, sysconf(_SC_NPROCESSORS_ONLN), place_read_ahead_kb(bench->dir));
	fprintf(out,
		"image: %s, %s, %.0f %% zero pages; %s on disk (%s)\n"
		"%zu pairs a figure, alternating A B B A; ratio: median of the pairs (least to most)\n",
		image->is_made ? "made: 40 % zero, 12 % copies, else text-like" : "a Linux guest",
		units_format_size(size, image->size),
		100.0 * (double)image->zero_pages / (double)(image->size / PAGE),
		units_format_size(disk, image->disk_bytes),
		image->disk_bytes < image->size * 95 / 100 ? "sparse" : "dense",
		bench->measuring.pairs);
	fflush(out);
}

static const char *comparison_sign(enum ratio ratio)
{
	return ratio == RATIO_OF_TIMES || ratio == RATIO_NONE ? "<=" : ">=";
}

static void figure_print(const struct figure *f, FILE *out)
{
	const char *x = f->goal.ratio == RATIO_NONE ? "" : "x";

	if (f->skipped[0]) {
		fprintf(out, "    %-34s SKIP: %s\n", f->label, f->skipped);
		return;
	}
	fprintf(out, "    %-34s %s %.4g %s", f->label, f->a, f->spread_a.median, f->goal.unit);
	if (f->goal.ratio != RATIO_NONE)
		fprintf(out, ", %s %.4g %s: %.3gx", f->b, f->spread_b.median, f->goal.unit,
			f->spread.median);
	if (f->n > 1)
		fprintf(out, " (%.3g to %.3g)", f->spread.least, f->spread.most);
	if (f->goal.target != 0)
		fprintf(out, "; target %s %.4g%s, %s", comparison_sign(f->goal.ratio),
			f->goal.target, x, figure_is_met(f) ? "met" : "NOT met");
	if (f->goal.stretch != 0)
		fprintf(out, " (stretch %.4g%s)", f->goal.stretch, x);
	fputc('\n', out);
}

void report_row(const struct bench *bench, const struct row *row, const char *failure, FILE *out)
{
	fprintf(out, "\n%s. %s; against: %s\n", row->name, row->what, row->against);
	if (!row->run)
		fprintf(out, "    not built: waits for %s\n", row->waits_for);
	for (size_t i = 0; i < bench->measuring.nfigures; i++)
		if (is_of(&bench->measuring.figures[i], row))
			figure_print(&bench->measuring.figures[i], out);
	if (failure)
		fprintf(out, "    FAILED: %s\n", failure);
	fflush(out);
}

static json_t *values_json(const double *values, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_real(values[i]));
	return array;
}

static json_t *side_json(const char *name, const double *values, size_t n, double median)
{
	return json_pack("{s:s, s:f, s:o}", "name", name, "median", median, "values",
			 values_json(values, n));
}

static json_t *figure_json(const struct figure *f)
{
	static const char *const ratios[] = {"a/b of times", "b/a of times", "a/b of rates",
					     "none"};
	json_t *figure;

	if (f->skipped[0])
		return json_pack("{s:s, s:s}", "label", f->label, "skipped", f->skipped);
	figure = json_pack("{s:s, s:s, s:s, s:o}", "label", f->label, "unit", f->goal.unit, "ratio",
			   ratios[f->goal.ratio], "a",
			   side_json(f->a, f->values_a, f->n, f->spread_a.median));
	if (f->goal.ratio != RATIO_NONE)
		json_object_set_new(figure, "b",
				    side_json(f->b, f->values_b, f->n, f->spread_b.median));
	json_object_update_new(figure, json_pack("{s:f, s:f, s:f}", "median", f->spread.median,
						 "least", f->spread.least, "most", f->spread.most));
	if (f->goal.target != 0)
		json_object_update_new(figure, json_pack("{s:f, s:b}", "target", f->goal.target,
							 "met", (int)figure_is_met(f)));
	if (f->goal.stretch != 0)
		json_object_set_new(figure, "stretch", json_real(f->goal.stretch));
	return figure;
}

static json_t *row_json(const struct bench *bench, const struct row *row)
{
	json_t *figures = json_array();
	json_t *object;

	for (size_t i = 0; i < bench->measuring.nfigures; i++)
		if (is_of(&bench->measuring.figures[i], row))
			json_array_append_new(figures, figure_json(&bench->measuring.figures[i]));
	object = json_pack("{s:s, s:s, s:s, s:o}", "row", row->name, "what", row->what, "against",
			   row->against, "figures", figures);
	if (!row->run)
		json_object_set_new(object, "waits_for", json_string(row->waits_for));
	return object;
}

int report_json(const struct bench *bench, const struct row *const *ran, size_t n, const char *path)
{
	const struct image *image = &bench->image;
	json_t *all = json_array();
	struct utsname name;
	json_t *document;
	int r;

	uname(&name);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, row_json(bench, ran[i]));
	document = json_pack(
		"{s:i, s:{s:s, s:i, s:i}, s:{s:b, s:I, s:I, s:I}, s:I, s:o}", "schema_version", 1,
		"machine", "kernel", name.release, "processors", (int)sysconf(_SC_NPROCESSORS_ONLN),
		"read_ahead_kb", (int)place_read_ahead_kb(bench->dir), "image", "made",
		(int)image->is_made, "bytes", (json_int_t)image->size, "disk_bytes",
		(json_int_t)image->disk_bytes, "zero_pages", (json_int_t)image->zero_pages, "pairs",
		(json_int_t)bench->measuring.pairs, "rows", all);
	if (!document)
		return fail_with(-ENOMEM, "cannot write %s: out of memory", path);
	r = json_dump_file(document, path, JSON_INDENT(1)) < 0 ? -EIO : 0;
	json_decref(document);
	return r < 0 ? fail_with(r, "cannot write %s", path) : 0;
}
