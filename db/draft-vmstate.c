/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmstate of an open draft: as a whole in memory, and stored as a whole.
 *
 * Under the draft's lock; what waits for the store does so under slow. What was stored
 * is told from what was written meanwhile by a count of changes.
 */
#include "config.h"

#include "db/draft-vmstate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "db/attachment-private.h"
#include "db/attachment.h"
#include "db/draft-private.h"
#include "db/transaction.h"

int draft_vmstate_load(struct draft *draft, struct index *index)
{
	void *data = NULL;
	size_t len = 0;
	int r = attachment_read(index, draft->id, "vmstate", &data, &len);

	if (r < 0 && r != -ENOENT) /* neither it nor its parent has one: it is empty */
		return fail_prefix(r, "%s", draft->name);
	pthread_mutex_lock(&draft->lock);
	if (draft->vmstate.changes == draft->vmstate.stored_changes) {
		free(draft->vmstate.data);
		draft->vmstate.data = TAKE_PTR(data);
		draft->vmstate.len = draft->vmstate.room = len;
	}
	draft->vmstate.loaded = true;
	pthread_mutex_unlock(&draft->lock);
	free(data);
	return 0;
}

int draft_vmstate_open(struct draft *draft, struct index *index, bool wait)
{
	bool loaded;
	int r = 0;

	pthread_mutex_lock(&draft->lock);
	loaded = draft->vmstate.loaded;
	pthread_mutex_unlock(&draft->lock);
	if (loaded)
		return 0;
	if (wait)
		pthread_mutex_lock(&draft->slow);
	else if (pthread_mutex_trylock(&draft->slow) != 0)
		return fail_with(-EBUSY, "%s: it is being stored", draft->name);
	if (!draft->vmstate.loaded) /* set with both locks held */
		r = draft_vmstate_load(draft, index);
	pthread_mutex_unlock(&draft->slow);
	return r;
}

uint64_t draft_vmstate_size(struct draft *draft)
{
	uint64_t size;

	pthread_mutex_lock(&draft->lock);
	size = draft->vmstate.len;
	pthread_mutex_unlock(&draft->lock);
	return size;
}

size_t draft_vmstate_read(struct draft *draft, uint64_t off, void *buf, size_t len)
{
	size_t n = 0;

	pthread_mutex_lock(&draft->lock);
	if (off < draft->vmstate.len) {
		n = MIN(len, draft->vmstate.len - (size_t)off);
		memcpy(buf, draft->vmstate.data + off, n);
	}
	pthread_mutex_unlock(&draft->lock);
	return n;
}

/* With lock held. New bytes are zero. */
static int vmstate_resize(struct draft *draft, uint64_t len)
{
	if (len > ATTACHMENT_BYTES_MAX)
		return -EFBIG;
	if (len > draft->vmstate.room) {
		size_t room = MIN(MAX(len, 2 * draft->vmstate.room), ATTACHMENT_BYTES_MAX);
		char *data = realloc(draft->vmstate.data, room);

		if (!data)
			return fail_with(-ENOMEM, "out of memory");
		draft->vmstate.data = data;
		draft->vmstate.room = room;
	}
	if (len > draft->vmstate.len)
		memset(draft->vmstate.data + draft->vmstate.len, 0, len - draft->vmstate.len);
	draft->vmstate.len = len;
	return 0;
}

static void vmstate_touch(struct draft *draft)
{
	draft->vmstate.changes++;
	draft->changed_ns = clock_wall_ns();
}

int draft_vmstate_write(struct draft *draft, uint64_t off, bool append, const void *buf, size_t len)
{
	uint64_t end;
	int r = 0;

	pthread_mutex_lock(&draft->lock);
	if (append)
		off = draft->vmstate.len;
	if (__builtin_add_overflow(off, len, &end))
		r = -EFBIG;
	else if (end > draft->vmstate.len)
		r = vmstate_resize(draft, end);
	if (r == 0 && len > 0) {
		memcpy(draft->vmstate.data + off, buf, len);
		vmstate_touch(draft);
	}
	pthread_mutex_unlock(&draft->lock);
	return r;
}

int draft_vmstate_truncate(struct draft *draft, uint64_t size)
{
	int r;

	pthread_mutex_lock(&draft->lock);
	r = vmstate_resize(draft, size);
	if (r == 0)
		vmstate_touch(draft);
	pthread_mutex_unlock(&draft->lock);
	return r;
}

static int vmstate_copy(struct draft *draft, char **ret, size_t *ret_len, uint64_t *ret_changes)
{
	char *data;

	pthread_mutex_lock(&draft->lock);
	data = malloc(draft->vmstate.len + 1);
	if (data && draft->vmstate.len > 0)
		memcpy(data, draft->vmstate.data, draft->vmstate.len);
	*ret_len = draft->vmstate.len;
	*ret_changes = draft->vmstate.changes;
	pthread_mutex_unlock(&draft->lock);
	if (!data)
		return fail_with(-ENOMEM, "out of memory");
	*ret = data;
	return 0;
}

static int vmstate_put(struct draft *draft, const char *data, size_t len, uint64_t version,
		       uint64_t changed_ns)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	const struct layer_edit_stored nothing = {0};
	int r = transaction_begin(draft->index, TRANSACTION_DURABLE, &open);

	if (r < 0)
		return r;
	layer_edit_begin(draft->edit);
	r = attachment_put(draft->index, draft->id, "vmstate", data, len);
	if (r == 0)
		r = layer_edit_end(draft->edit, &nothing, version, changed_ns);
	return r < 0 ? r : transaction_commit(&open);
}

int draft_vmstate_store(struct draft *draft)
{
	AUTO_FREE char *data = NULL;
	uint64_t changes;
	uint64_t version;
	uint64_t changed_ns;
	size_t len;
	bool stored;
	int r;

	pthread_mutex_lock(&draft->lock);
	stored = draft->vmstate.changes == draft->vmstate.stored_changes;
	version = draft->row.version + 1;
	changed_ns = draft->changed_ns;
	pthread_mutex_unlock(&draft->lock);
	if (stored)
		return 0;
	r = vmstate_copy(draft, &data, &len, &changes);
	if (r == 0)
		r = vmstate_put(draft, data, len, version, changed_ns);
	if (r < 0)
		return r;
	draft_version_made(draft, version);
	pthread_mutex_lock(&draft->lock);
	draft->vmstate.stored_changes = changes;
	pthread_mutex_unlock(&draft->lock);
	return 0;
}
