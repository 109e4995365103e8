/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting: where a view may be put, putting it there, taking it away.
 *
 * Main thread only. Once the view is mounted nothing here touches a path below
 * it: such a call would wait for the threads of this very process.
 */
#ifndef PAGODA_FUSEFS_MOUNT_H
#define PAGODA_FUSEFS_MOUNT_H

#include <limits.h>
#include <stdbool.h>

#include "base/attributes.h"
#include "fusefs/settings.h"

struct fuse_lowlevel_ops;
struct fuse_session;

struct mount {
	int fd;			      /* owned: the directory, O_PATH; -1 once mounted */
	char point[PATH_MAX];	      /* absolute */
	struct fuse_session *session; /* owned; NULL before mount_attach */
	unsigned int major;	      /* device number of the mounted view, once known */
	unsigned int minor;
	bool attached;
};

/* Opens the directory to mount on. A view of a daemon that died is taken away
 * first. -EINVAL if dir is no directory or a symbolic link (which could be
 * turned elsewhere), -EBUSY if a view is mounted there, else the -errno of the
 * system call; with words. Call mount_done in any case. */
int mount_open(const char *dir, struct mount *ret) MUST_CHECK;

/* -EINVAL if one of the two is inside the other: the daemon would read from
 * itself, or cover what it reads. */
int mount_check_store(const struct mount *mount, const char *store) MUST_CHECK;

/* Mounts; store becomes the source in the mount table. Nothing answers yet.
 * operations is borrowed for the call, data for the session. */
int mount_attach(struct mount *mount, const char *store, const struct settings *settings,
		 const struct fuse_lowlevel_ops *operations, size_t operations_size,
		 void *data) MUST_CHECK;

/* Raises the kernel's read-ahead and write-back limits for this mount, where
 * that is allowed. After FUSE_INIT, which sets them. */
void mount_tune(const struct mount *mount);

/* Lazily unmounts wherever this view is mounted: no new file can be opened, and
 * the session ends when the last open one is closed. -errno with words. */
int mount_detach(struct mount *mount) MUST_CHECK;

/* After the session's end: takes away what is still mounted of it, dead. 1 if
 * there was something, which means that the connection was aborted, else 0;
 * -errno with words if it stays. */
int mount_clear_dead(struct mount *mount) MUST_CHECK;

/* Releases what mount_open and mount_attach took; the session has ended. */
void mount_done(struct mount *mount);

#endif
