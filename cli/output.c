/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "db/info.h"

struct table {
	const struct table_column *columns; /* borrowed */
	size_t ncolumns;
	char **cells; /* owned, each; row by row */
	size_t ncells;
	size_t room;
	bool out_of_memory;
};

int output_json(const char *key, json_t *value)
{
	AUTO_FREE char *text = NULL;
	/* "o" takes the reference, also when packing fails */
	json_t *document =
		json_pack("{s:i, s:o}", "schema_version", JSON_SCHEMA_VERSION, key, value);

	if (document)
		text = json_dumps(document, JSON_INDENT(2));
	json_decref(document);
	if (!text)
		return fail_with(-ENOMEM, "out of memory");
	puts(text);
	return 0;
}

/* The bytes of the control character that text begins with, 0 for none: those of
 * ASCII, and those of Latin-1 (U+0080 to U+009F), which terminals obey as well. */
static size_t control_length(const unsigned char *text)
{
	if (text[0] < 0x20 || text[0] == 0x7f)
		return 1;
	return text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f ? 2 : 0;
}

void output_text(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at) {
		size_t control = control_length(at);

		if (control == 0)
			putchar(*at++);
		for (; control > 0; control--)
			printf("\\x%02x", *at++);
	}
}

json_t *output_json_text(const char *text)
{
	json_t *json = json_string(text);
	AUTO_FREE char *escaped = NULL;
	char *to;

	if (json)
		return json;
	escaped = malloc(4 * strlen(text) + 1);
	if (!escaped)
		return NULL;
	for (to = escaped; *text; text++) {
		if (*text & 0x80)
			to += sprintf(to, "\\x%02x", (unsigned char)*text);
		else
			*to++ = *text;
	}
	*to = '\0';
	return json_string(escaped);
}

const char *output_size(char text[UNITS_TEXT_MAX], uint64_t bytes, bool exact)
{
	if (!exact)
		return units_format_size(text, bytes);
	snprintf(text, UNITS_TEXT_MAX, "%" PRIu64, bytes);
	return text;
}

struct table *table_new(const struct table_column *columns)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = columns;
	for (; columns->head[0]; columns++)
		table->ncolumns++;
	for (size_t i = 0; i < table->ncolumns; i++)
		table_add(table, table->columns[i].head);
	return table;
}

void table_add(struct table *table, const char *text)
{
	if (table->ncells == table->room) {
		size_t room = table->room ? 2 * table->room : 64;
		char **cells = reallocarray(table->cells, room, sizeof(*cells));

		if (!cells) {
			table->out_of_memory = true;
			return;
		}
		table->cells = cells;
		table->room = room;
	}
	table->cells[table->ncells] = strdup(text);
	if (table->cells[table->ncells])
		table->ncells++;
	else
		table->out_of_memory = true;
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = 0;

	for (size_t i = column; i < table->ncells; i += table->ncolumns)
		width = MAX(width, strlen(table->cells[i]));
	return width;
}

/* Blanks are printed when text follows them, so that no line ends in them. */
static void print_row(const struct table *table, const size_t *widths, char **cells)
{
	size_t blanks = 0;

	for (size_t i = 0; i < table->ncolumns; i++) {
		size_t pad = MAX(widths[i], strlen(cells[i])) - strlen(cells[i]);
		bool right = table->columns[i].right;

		blanks += right ? pad : 0;
		if (cells[i][0]) {
			printf("%*s", (int)blanks, "");
			output_text(cells[i]);
			blanks = 0;
		}
		blanks += (right ? 0 : pad) + 2;
	}
	putchar('\n');
}

int table_print(const struct table *table)
{
	AUTO_FREE size_t *widths = calloc(table->ncolumns, sizeof(*widths));

	if (!widths || table->out_of_memory)
		return fail_with(-ENOMEM, "out of memory");
	for (size_t i = 0; i < table->ncolumns; i++)
		widths[i] = column_width(table, i);
	for (size_t i = 0; i + table->ncolumns <= table->ncells; i += table->ncolumns)
		print_row(table, widths, table->cells + i);
	return 0;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->ncells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

int output_finish(void)
{
	bool lost = ferror(stdout);
	int saved;

	errno = 0;
	if (fclose(stdout) == 0 && !lost)
		return 0;
	saved = errno ? errno : EIO;
	return fail_with(-saved, "standard output: %s", strerror(saved));
}
