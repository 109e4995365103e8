# SPDX-License-Identifier: Apache-2.0
bin_PROGRAMS += pagoda
pagoda_CPPFLAGS = $(AM_CPPFLAGS) -DSBINDIR='"$(sbindir)"'
pagoda_LDADD = $(DB_LIBS)
pagoda_SOURCES = \
	cli/cli.h \
	cli/cmd-diff.c \
	cli/cmd-copy.c \
	cli/cmd-gc.c \
	cli/cmd-repack.c \
	cli/cmd-draft.c cli/cmd-image.c \
	cli/cmd-snapshot.c \
	cli/cmd-store.c \
	cli/cmd-view.c \
	cli/main.c \
	cli/output.c cli/output.h \
	cli/pair.c cli/pair.h \
	cli/program.c cli/program.h \
	cli/unmount.c cli/unmount.h
