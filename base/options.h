/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines from a table: parsing (getopt_long) and help come from the same
 * rows. One thread, at the start of a program.
 */
#ifndef PAGODA_BASE_OPTIONS_H
#define PAGODA_BASE_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "base/attributes.h"

enum option_kind {
	OPTION_FLAG,   /* bool at offset becomes true */
	OPTION_TEXT,   /* const char * at offset points into argv */
	OPTION_SIZE,   /* uint64_t at offset, bytes */
	OPTION_NUMBER, /* uint64_t at offset */
	OPTION_CALL,   /* set(target, value) */
};

struct option_row {
	const char *name; /* long name, without dashes */
	char letter;	  /* short name, or 0 */
	enum option_kind kind;
	size_t offset;	      /* in the target, for all but OPTION_CALL */
	const char *argument; /* how help names the argument; NULL for none. In
				 brackets, "[PERCENT]", it may be left out: the
				 value is then NULL */
	const char *help;
	/* 0, or a negative errno after fail_with(); value is NULL without argument */
	int (*set)(void *target, const char *value);
};

/* Parses argv[1..] up to the first operand (or over all of argv where mixed)
 * into target. Returns the index of the first operand (operands are moved behind
 * the options where mixed), or -EINVAL with fail_with() text that names the option.
 * A row named "" ends the table. */
int options_parse(const struct option_row *rows, void *target, int argc, char **argv,
		  int mixed) MUST_CHECK;

/* One line a row: "  -o, --option ARG   help". */
void options_help(const struct option_row *rows, FILE *out);

#endif
