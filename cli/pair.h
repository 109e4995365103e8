/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory that a VMM has written a snapshot to: which file is the memory and
 * which the machine state, told by the names the VMMs use. One thread.
 */
#ifndef PAGODA_CLI_PAIR_H
#define PAGODA_CLI_PAIR_H

#include <limits.h>

#include "base/attributes.h"

struct pair {
	char memory[PATH_MAX];
	char state[PATH_MAX];
};

/* Finds the one pair in dir. -EINVAL where there is none, half of one or more
 * than one: the words say what was found or looked for. */
int pair_find(const char *dir, struct pair *ret) MUST_CHECK;

#endif
