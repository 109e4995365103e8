/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/io.h"
#include "handler/json.h"

#define INFO_MOST (64 * 1024) /* bytes of an info.json */

/* A string of exactly that many bytes with its NUL. */
static bool text_take(const json_t *value, char *field, size_t room)
{
	if (!json_is_string(value) || json_string_length(value) != room - 1)
		return false;
	memcpy(field, json_string_value(value), room);
	return true;
}

static bool snapshot_take(const json_t *snapshot, struct identity *identity)
{
	const json_t *id = json_object_get(snapshot, "id");
	const json_t *digest = json_object_get(snapshot, "digest");

	identity->snapshot = (uint64_t)json_integer_value(id);
	identity->digest[0] = '\0';
	return json_is_integer(id) &&
	       text_take(json_object_get(snapshot, "store_uuid"), identity->store_uuid,
			 sizeof(identity->store_uuid)) &&
	       (json_is_null(digest) ||
		text_take(digest, identity->digest, sizeof(identity->digest)));
}

/* The info.json of a view; *ret_found stays false where the directory has none. */
static int view_read(int dir, struct identity *identity, bool *ret_found)
{
	AUTO_CLOSE int fd = openat(dir, "info.json", O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *text = NULL;
	AUTO_JSON json_t *root = NULL;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : fail_with(-errno, "info.json: %s", strerror(errno));
	text = malloc(INFO_MOST);
	if (!text)
		return fail_with(-ENOMEM, "out of memory");
	n = io_read_full(fd, text, INFO_MOST);
	if (n < 0)
		return fail_with((int)n, "info.json: %s", strerror(-(int)n));
	root = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	if (!root || !snapshot_take(json_object_get(root, "snapshot"), identity))
		return fail_with(-EBADMSG, "its info.json does not say which snapshot it is");
	*ret_found = true;
	return 0;
}

int identity_read(int fd, int dir, struct identity *ret)
{
	struct identity identity;
	struct statfs fs;
	struct stat st;

	memset(&identity, 0, sizeof(identity)); /* padding too: it is sent as it is */
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return fail_with(-errno, "%s", strerror(errno));
	identity.size = (uint64_t)st.st_size;
	identity.device = st.st_dev;
	identity.inode = st.st_ino;
	identity.changed_ns = (int64_t)st.st_mtim.tv_sec * (int64_t)NS_PER_SEC + st.st_mtim.tv_nsec;
	identity.of_fuse = fs.f_type == FUSE_SUPER_MAGIC;
	if (dir >= 0 && identity.of_fuse) {
		int r = view_read(dir, &identity, &identity.of_view);

		if (r < 0)
			return r;
	}
	*ret = identity;
	return 0;
}

bool identity_same(const struct identity *was, const struct identity *now)
{
	if (was->of_view != now->of_view || was->size != now->size)
		return false;
	if (was->of_view)
		return was->digest[0] && strcmp(was->digest, now->digest) == 0 &&
		       was->snapshot == now->snapshot &&
		       strcmp(was->store_uuid, now->store_uuid) == 0;
	return was->device == now->device && was->inode == now->inode &&
	       was->changed_ns == now->changed_ns;
}

bool identity_may_change(const struct identity *identity)
{
	/* a draft, or a file of a view that was given a name elsewhere: maybe a draft */
	return identity->of_fuse && !identity->digest[0];
}
