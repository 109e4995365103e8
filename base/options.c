/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/fail.h"
#include "base/units.h"

#define OPTIONS_MOST 40
#define LONG_BASE 256 /* getopt's value of row i is LONG_BASE + i */

static bool row_ends(const struct option_row *row)
{
	return row->name[0] == '\0';
}

static int argument_kind(const struct option_row *row)
{
	if (!row->argument)
		return no_argument;
	return row->argument[0] == '[' ? optional_argument : required_argument;
}

/* Fills what getopt_long wants; returns the number of rows. */
static size_t tables_fill(const struct option_row *rows, bool mixed,
			  struct option longs[OPTIONS_MOST + 1], char shorts[3 * OPTIONS_MOST + 3])
{
	char *s = shorts;
	size_t n;

	if (!mixed)
		*s++ = '+';
	*s++ = ':';
	for (n = 0; n < OPTIONS_MOST && !row_ends(&rows[n]); n++) {
		int has = argument_kind(&rows[n]);

		longs[n] = (struct option){
			.name = rows[n].name, .has_arg = has, .val = LONG_BASE + (int)n};
		if (!rows[n].letter)
			continue;
		*s++ = rows[n].letter;
		for (int colon = 0; colon < has; colon++)
			*s++ = ':';
	}
	*s = '\0';
	longs[n] = (struct option){0};
	return n;
}

static const struct option_row *row_find(const struct option_row *rows, size_t n, int value)
{
	if (value >= LONG_BASE && (size_t)(value - LONG_BASE) < n)
		return &rows[value - LONG_BASE];
	for (size_t i = 0; i < n; i++)
		if (rows[i].letter && rows[i].letter == value)
			return &rows[i];
	return NULL;
}

static int row_set(const struct option_row *row, void *target, const char *value)
{
	char *field = (char *)target + row->offset;
	int r = 0;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)field = value;
		return 0;
	case OPTION_SIZE:
		r = units_parse_size(value, (uint64_t *)field);
		break;
	case OPTION_NUMBER:
		r = units_parse_number(value, UINT64_MAX, (uint64_t *)field);
		break;
	case OPTION_CALL:
		return row->set(target, value);
	}
	if (r < 0)
		return fail_with(-EINVAL, "--%s wants %s, not '%s'", row->name,
				 row->kind == OPTION_SIZE ? "a size such as 4096, 4K or 2MiB"
							  : "a number",
				 value);
	return 0;
}

int options_parse(const struct option_row *rows, void *target, int argc, char **argv, int mixed)
{
	struct option longs[OPTIONS_MOST + 1];
	char shorts[3 * OPTIONS_MOST + 3];
	size_t n = tables_fill(rows, mixed, longs, shorts);
	int value;

	optind = 0; /* glibc: start over, also for a second command line */
	opterr = 0;
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_row *row = row_find(rows, n, value);
		int r;

		if (value == ':')
			return fail_with(-EINVAL, "option '%s' wants an argument",
					 argv[optind - 1]);
		if (!row)
			return fail_with(-EINVAL, "unknown option '%s'",
					 optopt && optopt < LONG_BASE
						 ? (char[]){'-', (char)optopt, '\0'}
						 : argv[optind - 1]);
		r = row_set(row, target, optarg);
		if (r < 0)
			return r;
	}
	return optind;
}

void options_help(const struct option_row *rows, FILE *out)
{
	for (const struct option_row *row = rows; !row_ends(row); row++) {
		char left[64];
		char letter[8] = "    ";
		bool optional = row->argument && row->argument[0] == '[';

		if (row->letter)
			snprintf(letter, sizeof(letter), "-%c, ", row->letter);
		if (optional)
			snprintf(left, sizeof(left), "%s--%s[=%s", letter, row->name,
				 row->argument + 1);
		else
			snprintf(left, sizeof(left), "%s--%s%s%s", letter, row->name,
				 row->argument ? " " : "", row->argument ? row->argument : "");
		fprintf(out, "  %-28s %s\n", left, row->help);
	}
}
