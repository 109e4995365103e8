/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of an open file that are in memory: those of the store as they were when it was
 * opened, and what its writer has changed since. What file.c does with files that are
 * neither mapped nor of a draft.
 *
 * Any thread. What is fixed may be shared by any number of files, and is read by all at
 * once; the rest belongs to one. Never waits for the store. Sizes and offsets in bytes;
 * 0 or -errno.
 */
#ifndef PAGODA_FUSEFS_CONTENT_H
#define PAGODA_FUSEFS_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

struct content;

/* What is not stored yet. What was only emptied is stored by fsync and by the
 * last close, not when one of several descriptors is closed: a shell opens its
 * `>` long before the first byte is written. */
enum content_change {
	CONTENT_STORED,
	CONTENT_EMPTIED,
	CONTENT_WRITTEN,
};

/* len bytes at data, never NULL, which it owns from here on, also on failure. What is
 * fixed is never changed. One reference. -ENOMEM with words. */
int content_new(void *data, size_t len, bool fixed, struct content **ret) MUST_CHECK;

/* One more reference, for whoever knows that there is one; and one less, of content or
 * NULL. */
struct content *content_ref(struct content *content);
void content_unref(struct content *content);

size_t content_size(struct content *content);

/* Reads up to the end; returns how many bytes those were. */
size_t content_read(struct content *content, uint64_t off, void *buf, size_t len);

/* All of it or, on an error, nothing; behind the end the bytes before are zero. With
 * append off is not looked at. -EFBIG beyond ATTACHMENT_BYTES_MAX, -ENOMEM with words. */
int content_write(struct content *content, uint64_t off, bool append, const void *buf,
		  size_t len) MUST_CHECK;

/* New bytes are zero. Fails like content_write. */
int content_truncate(struct content *content, uint64_t size) MUST_CHECK;

/* The same where nothing was changed yet, with its result in *ret; else false. */
bool content_truncate_untouched(struct content *content, uint64_t size, int *ret);

enum content_change content_change(struct content *content);

/* What is to be stored, for the caller to free, and which change it is: nobody has to
 * wait for the store in order to read or change the content. -ENOMEM with words. */
int content_copy(struct content *content, char **ret_data, size_t *ret_len,
		 uint64_t *ret_nchanges) MUST_CHECK;

/* That change is stored; there may be later ones, which are not. */
void content_set_stored(struct content *content, uint64_t nchanges);

#endif
