# SPDX-License-Identifier: Apache-2.0
#
# libfusefs.a is the room without main.c, so that unit tests can link its parts.
noinst_LIBRARIES += libfusefs.a
libfusefs_a_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS) $(JANSSON_CFLAGS)
libfusefs_a_SOURCES = \
	fusefs/agreement.c fusefs/agreement.h \
	fusefs/content.c fusefs/content.h \
	fusefs/daemon.c fusefs/daemon.h \
	fusefs/draft-file.c fusefs/draft-file.h \
	fusefs/file.c fusefs/file.h \
	fusefs/fuse.h \
	fusefs/lead.c fusefs/lead.h \
	fusefs/listing.c fusefs/listing.h \
	fusefs/mount.c fusefs/mount.h \
	fusefs/names.c fusefs/names.h \
	fusefs/node.c fusefs/node.h \
	fusefs/notifier.c fusefs/notifier.h \
	fusefs/ops.c fusefs/ops.h \
	fusefs/repeat.c fusefs/repeat.h \
	fusefs/reply.c fusefs/reply.h \
	fusefs/settings.c fusefs/settings.h \
	fusefs/storing.c fusefs/storing.h \
	fusefs/threads.c fusefs/threads.h \
	fusefs/tidier.c fusefs/tidier.h \
	fusefs/view.h \
	fusefs/workingset.c fusefs/workingset.h

bin_PROGRAMS += pagodafs
pagodafs_SOURCES = fusefs/main.c
pagodafs_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS) $(JANSSON_CFLAGS)
pagodafs_LDADD = libfusefs.a $(DB_LIBS) $(FUSE_LIBS)
