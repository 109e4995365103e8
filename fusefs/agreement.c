/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/agreement.h"

#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fail.h"
#include "fusefs/fuse.h"

#ifndef FUSE_HANDLE_KILLPRIV_V2
#define FUSE_HANDLE_KILLPRIV_V2 (1U << 28)
#endif

/* The number of the FUSE_INIT that offers it and waits for its answer; 0: none does. */
static _Thread_local uint64_t offer;

static ssize_t request_read(int fd, void *buf, size_t len, UNUSED void *data)
{
	const struct fuse_in_header *header = buf;
	const struct fuse_init_in *in = (const void *)(header + 1);
	ssize_t n = read(fd, buf, len);

	if (n >= (ssize_t)(sizeof(*header) + offsetof(struct fuse_init_in, flags) + 4) &&
	    header->opcode == FUSE_INIT && in->flags & FUSE_HANDLE_KILLPRIV_V2)
		offer = header->unique;
	return n;
}

/* Writes the answer to FUSE_INIT, with the flag in it. */
static ssize_t init_write(int fd, const struct iovec parts[2])
{
	struct fuse_init_out out;
	struct iovec changed[] = {parts[0], {.iov_base = &out, .iov_len = parts[1].iov_len}};

	memcpy(&out, parts[1].iov_base, parts[1].iov_len);
	out.flags |= FUSE_HANDLE_KILLPRIV_V2;
	return writev(fd, changed, 2);
}

static ssize_t reply_write(int fd, struct iovec *parts, int count, UNUSED void *data)
{
	const struct fuse_out_header *header = parts[0].iov_base;

	if (offer && header->unique == offer) {
		offer = 0;
		if (header->error == 0 && count == 2 &&
		    parts[1].iov_len <= sizeof(struct fuse_init_out) &&
		    parts[1].iov_len >= offsetof(struct fuse_init_out, flags) + 4)
			return init_write(fd, parts);
	}
	return writev(fd, parts, count);
}

int agreement_extend(struct fuse_session *session)
{
	static const struct fuse_custom_io io = {.read = request_read, .writev = reply_write};
	int r = fuse_session_custom_io(session, &io, fuse_session_fd(session));

	return r < 0 ? fail_with(r, "libfuse does not let us read its device: %s", strerror(-r))
		     : 0;
}
