/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mounted view is known by to who did not mount it: pagodafs shows these
 * names, pagoda umount looks for them.
 */
#ifndef PAGODA_BASE_VIEW_NAMES_H
#define PAGODA_BASE_VIEW_NAMES_H

#define VIEW_SUBTYPE "pagodafs"
#define VIEW_TYPE "fuse." VIEW_SUBTYPE /* in the mount table */

/* Extended attributes of its root. */
#define VIEW_XATTR_PID "user.pagoda.pid"     /* the process that serves it, decimal */
#define VIEW_XATTR_STORE "user.pagoda.store" /* absolute path */
/* A draft that holds what is not stored, by name; none: all is. Not listed. */
#define VIEW_XATTR_UNSTORED "user.pagoda.unstored"

#endif
