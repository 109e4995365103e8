# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	base/attributes.h \
	base/big.c base/big.h \
	base/cleanup.h \
	base/clock.h \
	base/descriptors.c base/descriptors.h \
	base/exit.c base/exit.h \
	base/fail.c base/fail.h \
	base/io.c base/io.h \
	base/log.c base/log.h \
	base/mounts.c base/mounts.h \
	base/options.c base/options.h \
	base/progress.c base/progress.h \
	base/spin.c base/spin.h \
	base/units.c base/units.h \
	base/view-names.h
