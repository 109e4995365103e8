/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to a machine after a certain beat, from the command line:
 *
 *   3 snapshot MEM VMSTATE   writes all memory, and the state
 *   6 diff MEM VMSTATE       writes what has changed since the last of the two
 *   2 balloon PAGES          lets the balloon hold so many pages from then on
 *
 * Beats are counted from the start of this run. Words are parted by spaces.
 */
#ifndef PAGODA_TESTS_VMM_COMMAND_H
#define PAGODA_TESTS_VMM_COMMAND_H

#include <stdint.h>

#include "base/attributes.h"
#include "tests/vmm/machine.h"

#define COMMAND_ARGUMENTS_MAX 2

struct command {
	uint64_t beat;
	int (*run)(struct machine *machine, const char *const *arguments);
	const char *arguments[COMMAND_ARGUMENTS_MAX]; /* point into words */
	char *words;				      /* owned */
};

/* Text such as "3 snapshot MEM VMSTATE". -EINVAL with words, -ENOMEM. */
int command_init(struct command *command, const char *text) MUST_CHECK;
void command_done(struct command *command);

/* 0, or -errno with words. */
int command_run(const struct command *command, struct machine *machine) MUST_CHECK;

#endif
