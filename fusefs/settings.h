/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `-o` says: how a view looks and who may see it. Pure, one thread.
 */
#ifndef PAGODA_FUSEFS_SETTINGS_H
#define PAGODA_FUSEFS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

struct settings {
	uid_t uid;	   /* owner of everything in the view */
	gid_t gid;	   /* its group */
	unsigned int mode; /* of the files of a sealed snapshot, within 0666 */
	bool allow_other;
	bool read_only;
	uint64_t spin; /* as of spin_init: how long to look for the next request */
};

/* The defaults: owner and group of this process, 0440, nobody else, spin=auto. */
void settings_init(struct settings *settings);

/* Applies one comma-separated list; a later word wins over an earlier one. What
 * mount(8) adds for itself is accepted. -EINVAL with words that name the option. */
int settings_parse(struct settings *settings, const char *list) MUST_CHECK;

#endif
