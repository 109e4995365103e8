# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libhandler.a
libhandler_a_SOURCES = \
	handler/ahead.c handler/ahead.h \
	handler/allow.c handler/allow.h \
	handler/batch.c handler/batch.h \
	handler/bitmap.c handler/bitmap.h \
	handler/channel.c handler/channel.h \
	handler/control.c handler/control.h \
	handler/counters.c handler/counters.h \
	handler/crew.c handler/crew.h \
	handler/end.c handler/end.h \
	handler/handover.c handler/handover.h \
	handler/identity.c handler/identity.h \
	handler/install.c handler/install.h \
	handler/json.h \
	handler/keeper.c handler/keeper.h \
	handler/keeper-private.h \
	handler/listener.c handler/listener.h \
	handler/machine.c handler/machine.h \
	handler/machine-handover.c \
	handler/machine-private.h \
	handler/pass.c handler/pass.h \
	handler/receive.c handler/receive.h \
	handler/regions.c handler/regions.h \
	handler/reopen.c handler/reopen.h \
	handler/requests.c handler/requests.h \
	handler/session.c handler/session.h \
	handler/session-fill.c \
	handler/session-private.h \
	handler/session-serve.c \
	handler/shared.c handler/shared.h \
	handler/source.c handler/source.h \
	handler/stats.c handler/stats.h \
	handler/supply.c handler/supply.h \
	handler/uffd.c handler/uffd.h \
	handler/worker.c handler/worker.h

sbin_PROGRAMS += pagoda-handler
pagoda_handler_SOURCES = handler/main.c
pagoda_handler_LDADD = libhandler.a libbase.a $(JANSSON_LIBS)
