/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results, on standard output: text for people or one JSON document.
 *
 * Nothing here fails at once: standard output is buffered, and output_finish(),
 * which main calls last, says whether all of it has arrived. One thread.
 */
#ifndef PAGODA_CLI_OUTPUT_H
#define PAGODA_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/units.h"

/* Prints {"schema_version": ..., key: value} and takes the reference to value.
 * -ENOMEM, also where value is NULL, and then nothing is printed. */
int output_json(const char *key, json_t *value) MUST_CHECK;

/* Prints text with control characters as \xNN, so that a note or a path can
 * neither break the line nor drive the terminal. */
void output_text(const char *text);

/* A JSON string; where text (a path, a message that quotes one) is not UTF-8, its
 * bytes above 0x7f become "\\xNN". NULL when out of memory. */
json_t *output_json_text(const char *text) MUST_CHECK;

/* "256.0 MiB", or "268435456" where exact; returns text. */
const char *output_size(char text[UNITS_TEXT_MAX], uint64_t bytes, bool exact);

/* A table with aligned columns. Cells are added row by row, the first row being
 * the heads; the last column is never padded. */
struct table;
struct table_column {
	const char *head;
	bool right; /* aligned: numbers */
};

/* columns is borrowed; a row with an empty head ends it. NULL when out of memory. */
struct table *table_new(const struct table_column *columns);
/* Copies the text. Memory that runs out is told by table_print(). */
void table_add(struct table *table, const char *text);
int table_print(const struct table *table) MUST_CHECK;
void table_free(struct table *table);

/* Flushes standard output: 0, or -errno with words if any of it was lost. */
int output_finish(void) MUST_CHECK;

#endif
