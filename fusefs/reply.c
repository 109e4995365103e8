/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "fusefs/names.h"
#include "fusefs/node.h"

static int errno_of(int err)
{
	switch (err) {
	case -EBADMSG:
	case -EPROTONOSUPPORT:
		return EIO;
	default:
		return -err;
	}
}

/* Is it an answer to the caller rather than trouble of the store? */
static bool is_answer(int err)
{
	switch (err) {
	case -ENOENT:
	case -ESTALE:
	case -EROFS:
	case -ENXIO:
	case -ENAMETOOLONG:
	case -EFBIG:
	case -EPERM:
	case -EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

void reply_log(struct view *view, const char *what, const char *object, int err)
{
	char line[FAIL_TEXT_MAX + 256];
	uint64_t held;

	if (err == -EBADMSG)
		snprintf(line, sizeof(line),
			 "%s of %s: %s; pagoda -s %s check --read-data finds all that is damaged",
			 what, object, fail_text(err), store_path(view->store));
	else
		snprintf(line, sizeof(line), "%s of %s: %s", what, object, fail_text(err));
	if (!repeat_allows(&view->said, line, clock_monotonic_ns(), &held))
		return;
	if (held > 0)
		log_error("%s (%" PRIu64 " more times since it was last said)", line, held);
	else
		log_error("%s", line);
}

void reply_failure(fuse_req_t req, const char *what, const char *object, int err)
{
	if (!is_answer(err))
		reply_log(fuse_req_userdata(req), what, object, err);
	fuse_reply_err(req, errno_of(err));
}

void reply_result(fuse_req_t req, const char *what, const struct file *file, int r)
{
	if (r < 0)
		reply_failure(req, what, file_name(file), r);
	else
		fuse_reply_err(req, 0);
}

const char *reply_node(uint64_t number, char text[REPLY_NODE_ROOM])
{
	enum node_kind kind = node_kind(number);

	if (number == NODE_ROOT)
		snprintf(text, REPLY_NODE_ROOM, "the root");
	else if (kind == NODE_DIR || kind == NODE_KINDS)
		snprintf(text, REPLY_NODE_ROOM, "snapshot %" PRIu64, node_id(number));
	else
		snprintf(text, REPLY_NODE_ROOM, "%s of snapshot %" PRIu64, node_type(kind)->name,
			 node_id(number));
	return text;
}

void reply_stat(fuse_req_t req, struct index *index, uint64_t number, struct file *file)
{
	struct stat st;
	char text[REPLY_NODE_ROOM];
	double timeout;
	int r = names_stat(fuse_req_userdata(req), index, number, &st, &timeout);

	if (r < 0) {
		reply_failure(req, "stat", reply_node(number, text), r);
		return;
	}
	if (file) /* what was taken at open stays as long as it was */
		st.st_size = (off_t)file_size(file);
	fuse_reply_attr(req, &st, timeout);
}
