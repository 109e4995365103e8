# SPDX-License-Identifier: Apache-2.0
#
# make check-long: the full counts. make check-asan, make check-tsan: the unit
# tests and the core scripts in a build of their own, in asan/ and tsan/.

check-long:
	PAGODA_LONG=1 $(MAKE) $(AM_MAKEFLAGS) check

check-asan:
	$(MAKE) $(AM_MAKEFLAGS) check-sanitizer sanitizer=asan \
		sanitizer_flags='-fsanitize=address,undefined -fno-sanitize-recover=undefined'

check-tsan:
	$(MAKE) $(AM_MAKEFLAGS) check-sanitizer sanitizer=tsan \
		sanitizer_flags='-fsanitize=thread'

# A finding ends the program with a code that no test expects.
sanitizer_environment = PAGODA_SANITIZER=$(sanitizer) \
	ASAN_OPTIONS="exitcode=86:$$ASAN_OPTIONS" \
	UBSAN_OPTIONS="print_stacktrace=1:$$UBSAN_OPTIONS" \
	TSAN_OPTIONS="exitcode=86:$$TSAN_OPTIONS"

# setarch -R: ThreadSanitizer of GCC 12 gives up where the kernel randomises more
# bits of an address than it knows of.
check-sanitizer:
	$(MKDIR_P) $(sanitizer)
	cd $(sanitizer) && { test -f Makefile || '$(abs_srcdir)'/configure --quiet \
		CFLAGS='-g -O1 -fno-omit-frame-pointer $(sanitizer_flags)'; }
	cd $(sanitizer) && $(MAKE) $(AM_MAKEFLAGS) all
	cd $(sanitizer) && $(sanitizer_environment) setarch -R \
		$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(CORE_TESTS)'

distclean-local:
	rm -rf asan tsan

# distcheck removes its build; .ci/run counts the results of that all the same.
# The programs that only tests use.
check_programs: $(check_PROGRAMS)

installcheck-local:
	test -z "$$PAGODA_RESULTS" || cp tests/*.trs "$$PAGODA_RESULTS"

.PHONY: check_programs check-long check-asan check-tsan check-sanitizer
