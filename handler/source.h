/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source: the memory file that machines are restored from.
 *
 * A snapshot's directory in a mounted view (then its `mem` is meant) or any raw
 * memory file, a multiple of 4096 bytes. Opened once by the keeper, used by every
 * worker: nothing in it changes after source_open, so processes and threads may
 * share it. Where the file has holes is looked up once, at the start: asking the
 * view costs a round trip, which a fault should not pay. A page that is not known
 * to lie in a hole is read, so too few known holes cost time and nothing else.
 *
 * off and len are bytes, multiples of 4096, inside the image.
 */
#ifndef PAGODA_HANDLER_SOURCE_H
#define PAGODA_HANDLER_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "handler/bitmap.h"

struct source;

/* Opens path. -ENOENT (or another errno of open(2)), -EINVAL for what cannot be
 * an image; with fail_with() text. */
int source_open(const char *path, struct source **ret) MUST_CHECK;

/* Takes NULL. */
void source_close(struct source *source);

DEFINE_AUTO(struct source *, source_close)
#define AUTO_SOURCE AUTO(source_close_at)

const char *source_path(const struct source *source);
uint64_t source_size(const struct source *source);
int source_fd(const struct source *source);

/* By page of 4096 bytes: set where the page lies in a hole. Lives as long as
 * the source. */
const struct bitmap *source_zero(const struct source *source);

/* Starts reading the bytes into the kernel's page cache and returns. A hint: it
 * cannot fail. */
void source_announce(const struct source *source, uint64_t off, uint64_t len);

/* Reads all of it. -errno of pread(2), -EIO for a file that has become shorter;
 * with text that names file and offset. */
int source_read(const struct source *source, uint64_t off, uint64_t len, void *buf) MUST_CHECK;

#endif
