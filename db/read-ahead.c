/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/read-ahead.h"

#include <fcntl.h>
#include <stdbool.h>

#include "base/attributes.h"

#define WINDOW_FIRST (128U << 10) /* doubles with each read that follows */
#define GAP_MOST (64U << 10)	  /* pages that lie elsewhere, or that other layers replace */

void read_ahead_own(int fd)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

void read_ahead_announce(int fd, struct read_stretch stretch)
{
	if (stretch.len > 0)
		(void)posix_fadvise(fd, (off_t)stretch.off, (off_t)stretch.len,
				    POSIX_FADV_WILLNEED);
}

/* Another thread may read what is between: then this one goes on further ahead. */
static bool is_announced(const struct read_ahead *ahead, uint64_t off)
{
	return off >= ahead->end && off < ahead->until;
}

struct read_stretch read_ahead_next(struct read_ahead *ahead, uint32_t pack, uint64_t off,
				    size_t len)
{
	bool same = ahead->pack == pack;
	bool follows = same && off >= ahead->end && off - ahead->end <= GAP_MOST;
	uint64_t end = off + len;
	uint64_t from;

	if (!follows && !(same && is_announced(ahead, off))) {
		ahead->until = 0;
		ahead->window = 0;
	}
	ahead->pack = pack;
	ahead->end = end;
	if (!follows)
		return (struct read_stretch){0};
	ahead->window =
		MIN(MAX(2 * ahead->window, (uint64_t)WINDOW_FIRST), (uint64_t)READ_AHEAD_BYTES);
	from = MAX(ahead->until, end);
	/* in large steps: each is a request to the disk */
	if (from - end > ahead->window / 2)
		return (struct read_stretch){0};
	ahead->until = end + ahead->window;
	return (struct read_stretch){from, ahead->until - from};
}

void read_ahead_follow(struct read_ahead *ahead, int fd, uint32_t pack, uint64_t off, size_t len)
{
	read_ahead_announce(fd, read_ahead_next(ahead, pack, off, len));
}
