/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/content.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/attachment.h"

struct content {
	atomic_size_t refs;
	bool fixed; /* nobody changes what follows: no lock is needed */
	pthread_mutex_t lock;
	/* Protected by lock. */
	char *data; /* owned */
	size_t len;
	size_t room;
	enum content_change change;
	uint64_t nchanges; /* tells whether it changed while it was stored */
};

int content_new(void *data, size_t len, bool fixed, struct content **ret)
{
	struct content *content = malloc(sizeof(*content));

	if (!content) {
		free(data);
		return fail_with(-ENOMEM, "out of memory");
	}
	*content =
		(struct content){.refs = 1, .fixed = fixed, .data = data, .len = len, .room = len};
	pthread_mutex_init(&content->lock, NULL);
	*ret = content;
	return 0;
}

struct content *content_ref(struct content *content)
{
	atomic_fetch_add(&content->refs, 1);
	return content;
}

void content_unref(struct content *content)
{
	if (!content || atomic_fetch_sub(&content->refs, 1) > 1)
		return;
	pthread_mutex_destroy(&content->lock);
	free(content->data);
	free(content);
}

static void read_begin(struct content *content)
{
	if (!content->fixed)
		pthread_mutex_lock(&content->lock);
}

static void read_end(struct content *content)
{
	if (!content->fixed)
		pthread_mutex_unlock(&content->lock);
}

size_t content_size(struct content *content)
{
	size_t size;

	read_begin(content);
	size = content->len;
	read_end(content);
	return size;
}

size_t content_read(struct content *content, uint64_t off, void *buf, size_t len)
{
	size_t count;

	read_begin(content);
	count = off < content->len ? MIN(len, content->len - (size_t)off) : 0;
	if (count > 0)
		memcpy(buf, content->data + off, count);
	read_end(content);
	return count;
}

/* Makes it len bytes long, new ones zero. With lock held. */
static int resize(struct content *content, uint64_t len)
{
	if (len > ATTACHMENT_BYTES_MAX)
		return -EFBIG;
	if (len > content->room) {
		size_t room = MIN(MAX(len, 2 * content->room), ATTACHMENT_BYTES_MAX);
		char *data = realloc(content->data, room);

		if (!data)
			return fail_with(-ENOMEM, "out of memory");
		content->data = data;
		content->room = room;
	}
	if (len > content->len)
		memset(content->data + content->len, 0, len - content->len);
	content->len = len;
	return 0;
}

static void touch(struct content *content, enum content_change change)
{
	content->change = change;
	content->nchanges++;
}

int content_write(struct content *content, uint64_t off, bool append, const void *buf, size_t len)
{
	uint64_t end;
	int r = 0;

	pthread_mutex_lock(&content->lock);
	if (append)
		off = content->len;
	if (__builtin_add_overflow(off, len, &end))
		r = -EFBIG;
	else if (end > content->len)
		r = resize(content, end);
	if (r == 0) {
		memcpy(content->data + off, buf, len);
		touch(content, CONTENT_WRITTEN);
	}
	pthread_mutex_unlock(&content->lock);
	return r;
}

/* With lock held. */
static int truncate_locked(struct content *content, uint64_t size)
{
	int r = resize(content, size);

	if (r == 0)
		touch(content, size == 0 ? CONTENT_EMPTIED : CONTENT_WRITTEN);
	return r;
}

int content_truncate(struct content *content, uint64_t size)
{
	int r;

	pthread_mutex_lock(&content->lock);
	r = truncate_locked(content, size);
	pthread_mutex_unlock(&content->lock);
	return r;
}

bool content_truncate_untouched(struct content *content, uint64_t size, int *ret)
{
	bool untouched;

	pthread_mutex_lock(&content->lock);
	untouched = content->change == CONTENT_STORED;
	if (untouched)
		*ret = truncate_locked(content, size);
	pthread_mutex_unlock(&content->lock);
	return untouched;
}

enum content_change content_change(struct content *content)
{
	enum content_change change;

	read_begin(content);
	change = content->change;
	read_end(content);
	return change;
}

int content_copy(struct content *content, char **ret_data, size_t *ret_len, uint64_t *ret_nchanges)
{
	char *data;

	pthread_mutex_lock(&content->lock);
	*ret_len = content->len;
	*ret_nchanges = content->nchanges;
	data = malloc(*ret_len + 1); /* never of 0 bytes */
	if (data)
		memcpy(data, content->data, *ret_len);
	pthread_mutex_unlock(&content->lock);
	if (!data)
		return fail_with(-ENOMEM, "out of memory");
	*ret_data = data;
	return 0;
}

void content_set_stored(struct content *content, uint64_t nchanges)
{
	pthread_mutex_lock(&content->lock);
	if (content->nchanges == nchanges)
		content->change = CONTENT_STORED;
	pthread_mutex_unlock(&content->lock);
}
