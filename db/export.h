/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Export: the merged image as a file again.
 */
#ifndef PAGODA_DB_EXPORT_H
#define PAGODA_DB_EXPORT_H

#include "base/attributes.h"
#include "base/progress.h"
#include "db/index.h"
#include "db/snapshot.h"

/* Writes the image to path, holes as holes. The file appears complete and
 * durable or not at all; an existing regular file is replaced, anything else
 * (and "-") is written to as it is, holes as zeros. -errno of snapshot_read or
 * of the system call. */
int export_image(const struct snapshot *snapshot, struct pages *pages, const char *path,
		 struct progress *progress) MUST_CHECK;

#endif
