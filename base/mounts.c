/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/mounts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"

#define TABLE "/proc/self/mountinfo"

static inline void file_close_at(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* Copies a field with its \ooo escapes (space, tab, newline, backslash) undone. */
static void unescape(const char *field, size_t len, char *to)
{
	for (size_t i = 0; i < len; i++) {
		if (field[i] == '\\' && i + 3 < len) {
			*to++ = (char)((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 |
				       (field[i + 3] - '0'));
			i += 3;
		} else {
			*to++ = field[i];
		}
	}
	*to = '\0';
}

int mounts_parse(const char *line, struct mounts_entry *ret)
{
	struct mounts_entry entry;
	const char *dash = strstr(line, " - ");
	const char *point;
	size_t len;
	int at = 0;

	/* id, parent, major:minor, root within the file system, mount point */
	if (!dash || sscanf(line, "%*u %*u %u:%u %*s %n", &entry.major, &entry.minor, &at) != 2 ||
	    at == 0)
		return -EINVAL;
	point = line + at;
	len = strcspn(point, " ");
	if (point[0] != '/' || len >= sizeof(entry.point) ||
	    sscanf(dash + 3, "%63s", entry.type) != 1)
		return -EINVAL;
	unescape(point, len, entry.point);
	*ret = entry;
	return 0;
}

/* The last entry that matches: at one place it lies over the others. */
static int find(bool (*matches)(const struct mounts_entry *entry, const void *key), const void *key,
		struct mounts_entry *ret)
{
	AUTO(file_close_at) FILE *table = fopen(TABLE, "re");
	AUTO_FREE char *line = NULL;
	struct mounts_entry entry;
	size_t room = 0;
	int r = -ENOENT;

	if (!table)
		return fail_with(-errno, "cannot read " TABLE ": %s", strerror(errno));
	while (getline(&line, &room, table) > 0) {
		if (mounts_parse(line, &entry) < 0 || !matches(&entry, key))
			continue;
		*ret = entry;
		r = 0;
	}
	return ferror(table) ? fail_with(-EIO, "cannot read " TABLE) : r;
}

static bool is_at(const struct mounts_entry *entry, const void *path)
{
	return strcmp(entry->point, path) == 0;
}

int mounts_find(const char *path, struct mounts_entry *ret)
{
	return find(is_at, path, ret);
}

static bool is_device(const struct mounts_entry *entry, const void *key)
{
	const unsigned int *device = key;

	return entry->major == device[0] && entry->minor == device[1];
}

int mounts_find_device(unsigned int major, unsigned int minor, struct mounts_entry *ret)
{
	return find(is_device, (const unsigned int[]){major, minor}, ret);
}

static bool is_other(const struct mounts_entry *entry, const void *key)
{
	const struct mounts_entry *known = key;

	return is_device(entry, (const unsigned int[]){known->major, known->minor}) &&
	       !is_at(entry, known->point);
}

int mounts_find_other(const struct mounts_entry *entry, struct mounts_entry *ret)
{
	return find(is_other, entry, ret);
}
