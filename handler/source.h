/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source: the memory file that machines are restored from.
 *
 * A snapshot's directory in a mounted view (then its `mem` is meant) or any raw
 * memory file, a multiple of 4096 bytes. The keeper opens it; every worker has its
 * own copy of this struct, as it was when it was forked, and follows the keeper when
 * the file has to be opened again (handler/supply.h). Where the file has holes is
 * looked up once, at the start: asking the view costs a round trip, which a fault
 * should not pay. A page that is not known to lie in a hole is read, so too few known
 * holes cost time and nothing else; of a draft, where a hole may be written to, and of
 * what may be one, none are known.
 *
 * off and len are bytes, multiples of 4096, inside the image.
 */
#ifndef PAGODA_HANDLER_SOURCE_H
#define PAGODA_HANDLER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "handler/bitmap.h"
#include "handler/identity.h"

struct source;

/* Opens path. -ENOENT (or another errno of open(2)), -EINVAL for what cannot be
 * an image, -EBADMSG; with fail_with() text. */
int source_open(const char *path, struct source **ret) MUST_CHECK;

/* Takes NULL. */
void source_close(struct source *source);

DEFINE_AUTO(struct source *, source_close)
#define AUTO_SOURCE AUTO(source_close_at)

const char *source_path(const struct source *source);
uint64_t source_size(const struct source *source);
const struct identity *source_identity(const struct source *source);

/* The file as it was opened last, and how often that was. */
int source_fd(const struct source *source);
uint32_t source_generation(const struct source *source);

/* Opens the file once more, whatever it is by now: *ret_fd is the caller's. Fails
 * like source_open. It may wait for the file system for ever: not in the keeper. */
int source_reopen(const struct source *source, int *ret_fd, struct identity *ret) MUST_CHECK;

/* Whether the file system of source_fd() has gone. It may wait as long. */
bool source_has_gone(const struct source *source);

/* Whether it is a raw file that was written to since it was opened first: where its holes
 * were says nothing any more, and half of what it was may be installed. It may wait as
 * long. */
bool source_has_changed(const struct source *source);

/* Takes ownership of fd, which is the same image, as the next generation. */
void source_renew(struct source *source, int fd);

/* By page of 4096 bytes: set where the page lies in a hole. Lives as long as
 * the source. */
const struct bitmap *source_zero(const struct source *source);

/* Starts reading the bytes into the kernel's page cache and returns, mostly at once.
 * A hint: it cannot fail. */
void source_announce(int fd, uint64_t off, uint64_t len);

/* Reads all of it from fd, one opening of the source. -ENOTCONN: the file system has
 * gone, and so has everything opened on it; it may be there again by now. -EIO for a
 * file that has become shorter, or -errno of pread(2). With text that names file and
 * offset. Any thread. */
int source_read(const struct source *source, int fd, uint64_t off, uint64_t len,
		void *buf) MUST_CHECK;

#endif
