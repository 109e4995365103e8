/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import: an image becomes a sealed snapshot, alone or as a layer over another.
 *
 * Uses all cores and at most 128 MiB for any image, the machine state included, besides the map
 * of the parent. The snapshot is visible complete or not at all; a failed import gives its space
 * back, and what a killed one left is swept by the next writer.
 */
#ifndef PAGODA_DB_IMPORT_H
#define PAGODA_DB_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/progress.h"
#include "db/catalog.h"
#include "db/codec.h"
#include "db/store.h"

struct import_request {
	const char *name;
	const char *parent;	   /* name of a sealed snapshot, NULL for none */
	enum codec codec;	   /* of the pages that are new to the store */
	bool is_diff;		   /* the image is a diff over the parent: a hole is unchanged */
	int image_fd;		   /* borrowed; a file is read by holes, anything else to its end */
	const char *image;	   /* how messages call it */
	const void *vmstate;	   /* borrowed, NULL for none */
	size_t vmstate_len;	   /* bytes */
	struct progress *progress; /* borrowed, may be NULL */
};

/* -EINVAL if the name is not one, the size is 0, no multiple of 4096 or not the
 * parent's, the parent is no sealed snapshot, or a diff cannot have holes; -ENOENT if
 * the parent is not there, -EBADMSG if it is damaged; -EEXIST if the name is taken, -EBUSY if it is
 * being imported by another; -EFBIG for an image beyond IMAGE_BYTES_MAX and an oversized vmstate;
 * -ECANCELED if the image was written to meanwhile. */
int import_image(struct store *store, const struct import_request *request,
		 struct snapshot_row *ret_row) MUST_CHECK;

#endif
