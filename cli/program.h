/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running the other programs of Pagoda. One thread.
 */
#ifndef PAGODA_CLI_PROGRAM_H
#define PAGODA_CLI_PROGRAM_H

#include <limits.h>
#include <stddef.h>

#include "base/attributes.h"

/* Where the program is: beside this one, else where it is installed, else just
 * its name, for the search in PATH. */
void program_find(const char *name, char path[PATH_MAX]);

/* Becomes the program; argv is ended by NULL. Returns only -errno, with words. */
int program_exec(const char *name, char *const argv[]) MUST_CHECK;

/* Runs it and waits for its end. Returns its exit code, or -errno with words.
 * With said, its standard error goes there rather than to ours: the last line of
 * it that is not empty (room bytes). */
int program_run(const char *name, char *const argv[], char *said, size_t room) MUST_CHECK;

#endif
