/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/settings.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/spin.h"
#include "base/units.h"

#define MODE_MOST 0666U

static int set_id(const char *name, const char *value, uint32_t *ret)
{
	uint64_t number;

	/* the largest id means "nobody given" to the kernel */
	if (!value || units_parse_number(value, UINT32_MAX - 1, &number) < 0)
		return fail_with(-EINVAL, "-o %s= wants a number, not '%s'", name,
				 value ? value : "");
	*ret = (uint32_t)number;
	return 0;
}

static int set_uid(struct settings *settings, const char *value)
{
	return set_id("uid", value, &settings->uid);
}

static int set_gid(struct settings *settings, const char *value)
{
	return set_id("gid", value, &settings->gid);
}

static int set_mode(struct settings *settings, const char *value)
{
	unsigned long mode;

	if (!value || !value[0] || strlen(value) > 4 || strspn(value, "01234567") != strlen(value))
		return fail_with(-EINVAL, "-o mode= wants octal digits such as 0440, not '%s'",
				 value ? value : "");
	mode = strtoul(value, NULL, 8);
	if (mode & ~MODE_MOST)
		return fail_with(-EINVAL, "-o mode=%s: only read and write permissions make sense",
				 value);
	settings->mode = (unsigned int)mode;
	return 0;
}

static int set_allow_other(struct settings *settings, UNUSED const char *value)
{
	settings->allow_other = true;
	return 0;
}

static int set_ro(struct settings *settings, UNUSED const char *value)
{
	settings->read_only = true;
	return 0;
}

static int set_rw(struct settings *settings, UNUSED const char *value)
{
	settings->read_only = false;
	return 0;
}

static int set_spin(struct settings *settings, const char *value)
{
	if (!value || spin_parse(value, &settings->spin) < 0)
		return fail_with(-EINVAL, "-o spin= is " SPIN_WORDS ", not '%s'",
				 value ? value : "");
	return 0;
}

/* Words with a meaning here. */
static const struct {
	const char *name;
	bool has_value;
	int (*set)(struct settings *settings, const char *value);
} words[] = {
	{"uid", true, set_uid},	  {"gid", true, set_gid},
	{"mode", true, set_mode}, {"allow_other", false, set_allow_other},
	{"ro", false, set_ro},	  {"rw", false, set_rw},
	{"spin", true, set_spin},
};

/* Words that mount(8) and fstab(5) use and hand on. A view is always nodev,
 * nosuid, noexec and noatime, and checks permissions, so these change nothing. */
static const char *const ignored[] = {
	"defaults",
	"dev",
	"nodev",
	"suid",
	"nosuid",
	"exec",
	"noexec",
	"atime",
	"noatime",
	"diratime",
	"nodiratime",
	"relatime",
	"norelatime",
	"async",
	"auto",
	"noauto",
	"user",
	"user=*",
	"nouser",
	"users",
	"owner",
	"group",
	"nofail",
	"_netdev",
	"x-*",
	"comment=*",
	"strictatime",
	"nostrictatime",
	"default_permissions",
};

static bool is_ignored(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		if (fnmatch(ignored[i], word, 0) == 0)
			return true;
	return false;
}

static int apply(struct settings *settings, char *word)
{
	char *value;

	if (is_ignored(word))
		return 0;
	value = strchr(word, '=');
	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(word, words[i].name) == 0 && (words[i].has_value || !value))
			return words[i].set(settings, value);
	return fail_with(-EINVAL, "-o %s%s%s is not an option of pagodafs", word, value ? "=" : "",
			 value ? value : "");
}

void settings_init(struct settings *settings)
{
	*settings = (struct settings){
		.uid = geteuid(), .gid = getegid(), .mode = 0440, .spin = SPIN_AUTO};
}

int settings_parse(struct settings *settings, const char *list)
{
	AUTO_FREE char *copy = strdup(list);
	char *rest = copy;
	char *word;

	if (!copy)
		return fail_with(-ENOMEM, "out of memory");
	while ((word = strsep(&rest, ","))) {
		int r = word[0] ? apply(settings, word) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}
