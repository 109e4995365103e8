# SPDX-License-Identifier: Apache-2.0
#
# check-<module>.c: a unit test with libcheck. test-<behaviour>.sh: a script
# against the built programs. Both are listed once, below.

AM_TESTS_ENVIRONMENT = \
	srcdir='$(srcdir)'; builddir='$(builddir)'; export srcdir builddir;

UNIT_TESTS =
SCRIPT_TESTS =

# base
UNIT_TESTS += tests/check-base
tests_check_base_SOURCES = tests/check-base.c tests/unit.h
tests_check_base_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_check_base_LDADD = libbase.a $(CHECK_LIBS)

if HAVE_CHECK
check_PROGRAMS += $(UNIT_TESTS)
TESTS = $(UNIT_TESTS) $(SCRIPT_TESTS)
else
TESTS = $(SCRIPT_TESTS)
endif

dist_check_SCRIPTS += $(SCRIPT_TESTS)
EXTRA_DIST += tests/functions.sh
