# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libhandler.a
libhandler_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libhandler_a_SOURCES = \
	handler/batch.c handler/batch.h \
	handler/bitmap.c handler/bitmap.h \
	handler/counters.c handler/counters.h \
	handler/end.c handler/end.h \
	handler/handover.c handler/handover.h \
	handler/regions.c handler/regions.h \
	handler/session.c handler/session.h \
	handler/shared.c handler/shared.h \
	handler/source.c handler/source.h \
	handler/uffd.c handler/uffd.h
