/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Export: the merged image, or one layer as a sparse diff, as a file again.
 */
#ifndef PAGODA_DB_EXPORT_H
#define PAGODA_DB_EXPORT_H

#include "base/attributes.h"
#include "base/progress.h"
#include "db/index.h"
#include "db/snapshot.h"

/* Writes the image (MAP_MEM) to path, holes as holes. The file appears complete and
 * durable or not at all, and on file systems with O_TMPFILE nothing else appears, also
 * where the process is killed; an existing regular file is replaced, anything else
 * (and "-") is written to as it is, holes as zeros.
 *
 * With MAP_DIFF this layer alone: what it does not have is a hole, and its zero pages
 * are data. -EINVAL where path is none or no file that can say so: a pipe, or a file
 * of a file system that does not keep holes and zeros apart page by page.
 *
 * -errno of snapshot_read or of the system call. */
int export_image(const struct snapshot *snapshot, struct pages *pages, enum map_view view,
		 const char *path, struct progress *progress) MUST_CHECK;

#endif
