# SPDX-License-Identifier: Apache-2.0
#
# bench/run measures, beside what people use today. Nothing here is installed.
check_PROGRAMS += bench/run
bench_run_CPPFLAGS = $(AM_CPPFLAGS) -DTOP_SRCDIR='"$(abs_top_srcdir)"'
bench_run_SOURCES = \
	bench/access.c bench/access.h \
	bench/bench.c bench/bench.h \
	bench/fio.c bench/fio.h \
	bench/image.c bench/image.h \
	bench/measure.c bench/measure.h \
	bench/null-fuse.c bench/null-fuse.h \
	bench/one-at-a-time.c bench/one-at-a-time.h \
	bench/place.c bench/place.h \
	bench/plot.c \
	bench/process.c bench/process.h \
	bench/report.c bench/report.h \
	bench/row-draft.c \
	bench/row-fault.c \
	bench/row-idle.c \
	bench/row-large.c \
	bench/row-read.c \
	bench/row-store.c \
	bench/rows.c \
	bench/run.c \
	bench/shown.c bench/shown.h \
	bench/touch.c bench/touch.h \
	tests/client-memory.c tests/client-memory.h
bench_run_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS)
bench_run_LDADD = libfusefs.a $(DB_LIBS) $(FUSE_LIBS) -lm

BENCH_FLAGS =
bench: all bench/run
	bench/run $(BENCH_FLAGS)
.PHONY: bench

# For counting instructions: bench/budget says how many.
check_PROGRAMS += bench/work bench/work-plan
bench_work_SOURCES = bench/work.c $(bench_images)
bench_work_LDADD = $(DB_LIBS)
bench_work_plan_SOURCES = bench/work-plan.c $(bench_images)
bench_work_plan_LDADD = libhandler.a libbase.a
bench_images = bench/image.c bench/image.h bench/place.c bench/place.h bench/process.c bench/process.h

TESTS += bench/test-bench.sh bench/test-budget.sh
dist_check_SCRIPTS += bench/test-bench.sh bench/test-budget.sh
EXTRA_DIST += bench/budget
