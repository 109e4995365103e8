/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "cli/pair.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"

#define NAMES_MOST 8

/* A memory file goes with a state file of the same VMM only: another pairing is
 * what two snapshots in one directory look like. */
static const struct family {
	const char *vmm;
	const char *memory[NAMES_MOST];
	const char *state[NAMES_MOST];
} families[] = {
	/* the names of its documentation and of tools around it */
	{"Firecracker",
	 {"mem", "memory", "mem_file", "memfile", "snapshot_mem", "vm.mem"},
	 {"vmstate", "snapshot", "snapshot_file", "snapfile", "vm.vmstate"}},
	{"Cloud Hypervisor", {"memory-ranges"}, {"state.json"}},
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

static int join(char path[PATH_MAX], const char *dir, const char *name)
{
	if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return fail_with(-ENAMETOOLONG, "%.60s...: the path is too long", dir);
	return 0;
}

/* What a search has found so far, over all families. */
struct search {
	const char *dir;
	const char *name; /* the last one found, NULL for none */
	const struct family *family;
};

/* Looks for names of one family; finding a second file ends it. */
static int search_names(struct search *search, const struct family *family,
			const char *const names[NAMES_MOST])
{
	char path[PATH_MAX];
	struct stat st;

	for (size_t i = 0; i < NAMES_MOST && names[i]; i++) {
		int r = join(path, search->dir, names[i]);

		if (r < 0)
			return r;
		if (stat(path, &st) < 0) {
			if (errno == ENOENT)
				continue;
			return fail_with(-errno, "%s: %s", path, strerror(errno));
		}
		if (search->name)
			return fail_with(-EINVAL,
					 "%s holds both %s and %s: name the files of one snapshot "
					 "with IMAGE and --vmstate",
					 search->dir, search->name, names[i]);
		search->name = names[i];
		search->family = family;
	}
	return 0;
}

static size_t list_names(char *text, size_t room, const char *const names[NAMES_MOST])
{
	size_t used = 0;

	for (size_t i = 0; i < NAMES_MOST && names[i] && used < room; i++)
		used += (size_t)snprintf(text + used, room - used, "%s%s", i ? ", " : "", names[i]);
	return used;
}

/* "no memory file in DIR: looked for mem, ... (Firecracker), ... (...)" */
static int fail_missing(const char *dir, const char *what, bool state)
{
	char text[FAIL_TEXT_MAX];
	size_t used = 0;

	for (size_t i = 0; i < FAMILIES && used + 64 < sizeof(text); i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s", i ? "; " : "");
		used += list_names(text + used, sizeof(text) - used,
				   state ? families[i].state : families[i].memory);
		used += (size_t)snprintf(text + used, sizeof(text) - used, " (%s)",
					 families[i].vmm);
	}
	return fail_with(-EINVAL, "no %s in %.100s: looked for %.300s", what, dir, text);
}

int pair_find(const char *dir, struct pair *ret)
{
	struct search memory = {.dir = dir};
	struct search state = {.dir = dir};
	struct stat st;
	int r = 0;

	if (stat(dir, &st) < 0)
		return fail_with(errno == ENOENT ? -EINVAL : -errno, "%s: %s", dir,
				 strerror(errno));
	for (size_t i = 0; i < FAMILIES && r == 0; i++) {
		r = search_names(&memory, &families[i], families[i].memory);
		if (r == 0)
			r = search_names(&state, &families[i], families[i].state);
	}
	if (r < 0)
		return r;
	if (!memory.name)
		return fail_missing(dir, "memory file", false);
	if (!state.name)
		return fail_missing(dir, "machine state", true);
	if (memory.family != state.family)
		return fail_with(-EINVAL, "%s: %s is of %s, but %s is of %s", dir, memory.name,
				 memory.family->vmm, state.name, state.family->vmm);
	r = join(ret->memory, dir, memory.name);
	return r < 0 ? r : join(ret->state, dir, state.name);
}
