/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/allow.h"

#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/units.h"

void allow_default(struct allow *allow)
{
	*allow = (struct allow){.n = 1, .uids = {geteuid()}, .everyone = geteuid() == 0};
}

static int uid_parse(const char *text, uid_t *ret)
{
	const struct passwd *entry;
	uint64_t number;

	/* the highest number means "no user" to the kernel */
	if (units_parse_number(text, (uid_t)-2, &number) == 0) {
		*ret = (uid_t)number;
		return 0;
	}
	entry = getpwnam(text);
	if (!entry)
		return fail_with(-EINVAL, "--allow-uid: there is no user '%s'", text);
	*ret = entry->pw_uid;
	return 0;
}

int allow_parse(struct allow *allow, const char *list)
{
	AUTO_FREE char *copy = strdup(list);
	char *rest = copy;
	const char *item;

	if (!copy)
		return -ENOMEM;
	*allow = (struct allow){0};
	while ((item = strsep(&rest, ",")) != NULL) {
		int r;

		if (allow->n == ALLOW_MOST)
			return fail_with(-EINVAL, "--allow-uid takes %d users at most", ALLOW_MOST);
		r = uid_parse(item, &allow->uids[allow->n]);
		if (r < 0)
			return r;
		allow->n++;
	}
	return 0;
}

bool allow_has(const struct allow *allow, uid_t uid)
{
	for (size_t i = 0; i < allow->n; i++)
		if (allow->uids[i] == uid)
			return true;
	return allow->everyone;
}
