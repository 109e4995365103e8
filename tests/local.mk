# SPDX-License-Identifier: Apache-2.0
#
# check-<module>.c: a unit test with libcheck. test-<behaviour>.sh: a script
# against the built programs. Each is listed once, below.

AM_TESTS_ENVIRONMENT = \
	srcdir='$(srcdir)'; builddir='$(builddir)'; export srcdir builddir;

# What a program of this folder links unless it says otherwise.
LDADD = $(DB_LIBS) $(CHECK_LIBS)

UNIT_TESTS =
SCRIPT_TESTS =
# Scripts that run under the sanitizers too, as all unit tests do.
CORE_SCRIPT_TESTS =

# base
UNIT_TESTS += tests/check-base
tests_check_base_SOURCES = tests/check-base.c tests/unit.h
tests_check_base_LDADD = libbase.a $(CHECK_LIBS)
UNIT_TESTS += tests/check-spin
tests_check_spin_SOURCES = tests/check-spin.c tests/unit.h
tests_check_spin_LDADD = libbase.a $(CHECK_LIBS)

# whole systems
CORE_SCRIPT_TESTS += tests/test-restore-damage.sh tests/test-restore-guest.sh
SCRIPT_TESTS += tests/test-layers-guests.sh tests/test-qemu-resume.sh

# db
UNIT_TESTS += tests/check-chain tests/check-collision tests/check-compare tests/check-damage \
	tests/check-digest tests/check-image tests/check-import tests/check-layers tests/check-lock \
	tests/check-map tests/check-page tests/check-store
tests_check_damage_SOURCES = tests/check-damage.c tests/chance.h tests/unit.h tests/store-fixture.h
tests_check_digest_SOURCES = tests/check-digest.c tests/unit.h
tests_check_chain_SOURCES = tests/check-chain.c tests/unit.h $(layer_fixture)
tests_check_chain_LDADD = tests/libdb-small.a $(LDADD)
tests_check_compare_SOURCES = tests/check-compare.c tests/unit.h $(layer_fixture)
tests_check_layers_SOURCES = tests/check-layers.c tests/unit.h $(layer_fixture)
index_fixture = tests/index-fixture.h tests/store-fixture.h tests/unit.h
layer_fixture = tests/layer-fixture.h tests/store-fixture.h
tests_check_lock_SOURCES = tests/check-lock.c tests/unit.h
tests_check_map_SOURCES = tests/check-map.c tests/unit.h
UNIT_TESTS += tests/check-read-ahead
tests_check_read_ahead_SOURCES = tests/check-read-ahead.c tests/unit.h
UNIT_TESTS += tests/check-pages
tests_check_pages_SOURCES = tests/check-pages.c tests/store-fixture.h tests/unit.h
UNIT_TESTS += tests/check-overlay tests/check-draft tests/check-draft-limits
tests_check_overlay_SOURCES = tests/check-overlay.c tests/chance.h tests/unit.h
tests_check_draft_SOURCES = tests/check-draft.c tests/chance.h tests/draft-fixture.h $(index_fixture)
tests_check_draft_limits_SOURCES = tests/check-draft-limits.c tests/draft-fixture.h $(index_fixture)
tests_check_draft_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=draft_read
tests_check_image_SOURCES = tests/check-image.c tests/store-fixture.h tests/unit.h
tests_check_import_SOURCES = tests/check-import.c $(index_fixture)
tests_check_page_SOURCES = tests/check-page.c tests/unit.h
tests_check_store_SOURCES = tests/check-store.c $(index_fixture)
# the store with a hash of 8 bits: only the bytes tell pages apart
tests_check_collision_SOURCES = tests/check-collision.c $(libdb_a_SOURCES)
tests_check_collision_CPPFLAGS = $(AM_CPPFLAGS) -DPAGE_HASH_MASK=0xff
db/tests_check_collision-schema.$(OBJEXT) db/tests_libdb_small_a-schema.$(OBJEXT) \
	db/tests_libdb_tiny_a-schema.$(OBJEXT): db/schema.sql.h
# the store with small steps, so that little data goes through all of them
check_LIBRARIES = tests/libdb-small.a
tests_libdb_small_a_SOURCES = $(libdb_a_SOURCES)
tests_libdb_small_a_CPPFLAGS = $(AM_CPPFLAGS) -DSTEP_PAGES=512 -DSTEP_IDS=256 \
	-DMARKS_IDS=256 -DMARKS_EXTENTS=4 -DGC_ROWS=64 -DGC_STEP_ROWS=50 -DGC_ENTRIES=40 \
	-DREPACK_ROWS=16 -DREPACK_STEP_PAGES=40 -DLOOKUP_PAGES=61
# ... and small packs, of which it then fills many
check_LIBRARIES += tests/libdb-tiny.a
tests_libdb_tiny_a_SOURCES = $(libdb_a_SOURCES)
tests_libdb_tiny_a_CPPFLAGS = $(tests_libdb_small_a_CPPFLAGS) -DPACK_BYTES_FULL=0x40000
UNIT_TESTS += tests/check-gc tests/check-gc-beside tests/check-marks tests/check-repack
tests_check_gc_SOURCES = tests/check-gc.c tests/chance.h tests/hook-fixture.h tests/gc-fixture.h $(index_fixture)
tests_check_gc_CPPFLAGS = $(tests_libdb_small_a_CPPFLAGS)
tests_check_gc_LDADD = tests/libdb-small.a $(LDADD)
tests_check_gc_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=transaction_begin
tests_check_gc_beside_SOURCES = tests/check-gc-beside.c tests/hook-fixture.h tests/gc-fixture.h $(index_fixture)
tests_check_gc_beside_LDADD = $(tests_check_gc_LDADD)
tests_check_gc_beside_LDFLAGS = $(tests_check_gc_LDFLAGS)
tests_check_marks_SOURCES = tests/check-marks.c tests/hook-fixture.h tests/gc-fixture.h $(index_fixture)
tests_check_marks_LDADD = $(tests_check_gc_LDADD)
tests_check_marks_LDFLAGS = $(tests_check_gc_LDFLAGS)
tests_check_repack_SOURCES = tests/check-repack.c tests/hook-fixture.h $(index_fixture)
tests_check_repack_LDADD = $(tests_check_gc_LDADD)
tests_check_repack_LDFLAGS = $(tests_check_gc_LDFLAGS)
disk_sources = tests/chance.h tests/disk.c tests/disk.h tests/disk-cut.c \
	tests/disk-log.c tests/disk-private.h \
	tests/scenario-images.c tests/scenario-images.h \
	tests/scenarios.c tests/scenarios.h tests/shadow.c tests/shadow.h \
	tests/store-fixture.h tests/unit.h
UNIT_TESTS += tests/check-writers
tests_check_writers_SOURCES = tests/check-writers.c tests/store-fixture.h tests/unit.h
tests_check_writers_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=sqlite3_wal_checkpoint_v2
UNIT_TESTS += tests/check-crash tests/check-faults
tests_check_crash_SOURCES = tests/check-crash.c $(disk_sources)
tests_check_crash_LDADD = tests/libdb-tiny.a $(LDADD)
tests_check_faults_SOURCES = tests/check-faults.c tests/memory.c tests/memory.h $(disk_sources)
tests_check_faults_LDADD = tests/libdb-tiny.a $(LDADD)
tests_check_faults_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc \
	-Wl,--wrap=reallocarray,--wrap=strdup,--wrap=asprintf,--wrap=realpath \
	-Wl,--wrap=open_memstream,--wrap=mmap
# fusefs
UNIT_TESTS += tests/check-view
tests_check_view_SOURCES = tests/check-view.c tests/unit.h
tests_check_view_LDADD = libfusefs.a $(DB_LIBS) $(CHECK_LIBS)
UNIT_TESTS += tests/check-lead
tests_check_lead_SOURCES = tests/check-lead.c tests/unit.h
tests_check_lead_LDADD = libfusefs.a $(DB_LIBS) $(CHECK_LIBS)
check_PROGRAMS += tests/view-probe
tests_view_probe_SOURCES = \
	tests/probe.c tests/probe.h \
	tests/view-probe.c tests/view-probe.h \
	tests/view-probe-cache.c \
	tests/view-probe-read.c \
	tests/view-probe-write.c
check_PROGRAMS += tests/draft-probe
tests_draft_probe_SOURCES = \
	tests/draft-probe.c tests/draft-probe.h \
	tests/draft-probe-random.c \
	tests/probe.c tests/probe.h
CORE_SCRIPT_TESTS += tests/test-draft-write.sh
SCRIPT_TESTS += \
	tests/test-draft-busy.sh \
	tests/test-draft-end.sh \
	tests/test-draft-fsync.sh \
	tests/test-draft-kill.sh \
	tests/test-draft-lost.sh \
	tests/test-draft-qemu.sh tests/test-draft-requests.sh \
	tests/test-draft-space.sh \
	tests/test-draft-tidy.sh \
	tests/test-draft-vmm.sh \
	tests/test-view-cache.sh \
	tests/test-view-churn.sh \
	tests/test-view-damage.sh \
	tests/test-view-fstab.sh \
	tests/test-view-interrupt.sh \
	tests/test-view-layers.sh \
	tests/test-view-gc.sh \
	tests/test-view-many.sh \
	tests/test-view-mount.sh \
	tests/test-view-owner.sh \
	tests/test-view-read.sh \
	tests/test-view-readonly.sh \
	tests/test-view-refuse.sh \
	tests/test-view-space.sh tests/test-view-spin.sh \
	tests/test-view-storing.sh \
	tests/test-view-thread.sh \
	tests/test-view-tree.sh \
	tests/test-view-user.sh \
	tests/test-view-workingset.sh
# handler
CORE_SCRIPT_TESTS += tests/test-handler-restore.sh
check_PROGRAMS += tests/client
tests_client_SOURCES = \
	tests/client.c \
	tests/client-memory.c tests/client-memory.h \
	tests/client-oracle.c tests/client-oracle.h
tests_client_LDADD = libbase.a
check_PROGRAMS += tests/hostile
tests_hostile_SOURCES = \
	tests/hostile.c tests/hostile.h \
	tests/hostile-memory.c \
	tests/hostile-socket.c \
	tests/client-memory.c tests/client-memory.h
tests_hostile_LDADD = libbase.a
check_PROGRAMS += tests/await
tests_await_SOURCES = tests/await.c
check_PROGRAMS += tests/lie
tests_lie_SOURCES = tests/lie.c
tests_lie_LDADD = libhandler.a libbase.a
check_PROGRAMS += tests/hold
tests_hold_SOURCES = tests/hold.c
check_PROGRAMS += tests/ask
tests_ask_SOURCES = tests/ask.c
tests_ask_LDADD = libbase.a

handler_test_libs = libhandler.a libbase.a $(JANSSON_LIBS) $(CHECK_LIBS)
UNIT_TESTS += tests/check-bitmap
tests_check_bitmap_SOURCES = tests/check-bitmap.c tests/unit.h
tests_check_bitmap_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-regions
tests_check_regions_SOURCES = tests/check-regions.c tests/unit.h
tests_check_regions_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-handover
tests_check_handover_SOURCES = tests/check-handover.c tests/unit.h
tests_check_handover_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-batch
tests_check_batch_SOURCES = tests/check-batch.c tests/unit.h
tests_check_batch_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-source
tests_check_source_SOURCES = tests/check-source.c tests/unit.h
tests_check_source_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-session
tests_check_session_SOURCES = tests/check-session.c tests/unit.h \
	tests/session-fixture.c tests/session-fixture.h
tests_check_session_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=source_read
tests_check_session_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-session-ends
tests_check_session_ends_SOURCES = tests/check-session-ends.c tests/unit.h \
	tests/session-fixture.c tests/session-fixture.h
tests_check_session_ends_LDADD = $(handler_test_libs)
source_fixture = \
	tests/session-fixture.c tests/session-fixture.h \
	tests/source-fixture.c tests/source-fixture.h
UNIT_TESTS += tests/check-session-lost
tests_check_session_lost_SOURCES = tests/check-session-lost.c tests/unit.h $(source_fixture)
tests_check_session_lost_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=source_read
tests_check_session_lost_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-session-source
tests_check_session_source_SOURCES = tests/check-session-source.c tests/unit.h $(source_fixture)
tests_check_session_source_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=source_read -Wl,--wrap=source_announce
tests_check_session_source_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-channel
tests_check_channel_SOURCES = tests/check-channel.c tests/unit.h
tests_check_channel_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-control
tests_check_control_SOURCES = tests/check-control.c tests/unit.h
tests_check_control_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-ahead
tests_check_ahead_SOURCES = tests/check-ahead.c tests/unit.h
tests_check_ahead_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-crew
tests_check_crew_SOURCES = tests/check-crew.c tests/unit.h
tests_check_crew_LDADD = $(handler_test_libs)
UNIT_TESTS += tests/check-receive
tests_check_receive_SOURCES = tests/check-receive.c tests/unit.h
tests_check_receive_LDADD = $(handler_test_libs)
SCRIPT_TESTS += \
	tests/test-handler-apart.sh \
	tests/test-handler-bystanders.sh \
	tests/test-handler-control.sh \
	tests/test-handler-draft.sh \
	tests/test-handler-failure.sh \
	tests/test-handler-fill.sh \
	tests/test-handler-flood.sh \
	tests/test-handler-hostile.sh \
	tests/test-handler-huge.sh \
	tests/test-handler-idle.sh \
	tests/test-handler-liar.sh \
	tests/test-handler-linger.sh \
	tests/test-handler-many.sh \
	tests/test-handler-socket.sh \
	tests/test-handler-source.sh \
	tests/test-handler-stop.sh \
	tests/test-handler-view.sh
EXTRA_DIST += tests/handler-functions.sh

# fuzz targets; without libFuzzer driven by driver.c
if FUZZER
FUZZ_DRIVER =
else
FUZZ_DRIVER = tests/fuzz/driver.c
SCRIPT_TESTS += tests/test-fuzz.sh
endif
FUZZ_TARGETS = \
	tests/fuzz/fuzz-batch \
	tests/fuzz/fuzz-handover \
	tests/fuzz/fuzz-page \
	tests/fuzz/fuzz-regions \
	tests/fuzz/fuzz-store
check_PROGRAMS += $(FUZZ_TARGETS)
fuzz_handler_libs = libhandler.a libbase.a $(JANSSON_LIBS)
tests_fuzz_fuzz_batch_SOURCES = tests/fuzz/fuzz-batch.c tests/fuzz/fuzz.h $(FUZZ_DRIVER)
tests_fuzz_fuzz_batch_LDADD = $(fuzz_handler_libs)
tests_fuzz_fuzz_batch_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS)
tests_fuzz_fuzz_handover_SOURCES = tests/fuzz/fuzz-handover.c tests/fuzz/fuzz.h $(FUZZ_DRIVER)
tests_fuzz_fuzz_handover_LDADD = $(fuzz_handler_libs)
tests_fuzz_fuzz_handover_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS)
tests_fuzz_fuzz_page_SOURCES = tests/fuzz/fuzz-page.c tests/fuzz/fuzz.h $(FUZZ_DRIVER)
tests_fuzz_fuzz_page_LDADD = $(DB_LIBS)
tests_fuzz_fuzz_page_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS)
tests_fuzz_fuzz_regions_SOURCES = tests/fuzz/fuzz-regions.c tests/fuzz/fuzz.h $(FUZZ_DRIVER)
tests_fuzz_fuzz_regions_LDADD = $(fuzz_handler_libs)
tests_fuzz_fuzz_regions_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS)
tests_fuzz_fuzz_store_SOURCES = tests/fuzz/fuzz-store.c tests/fuzz/fuzz.h $(FUZZ_DRIVER)
tests_fuzz_fuzz_store_LDADD = $(DB_LIBS)
tests_fuzz_fuzz_store_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS)
EXTRA_DIST += tests/fuzz/corpus

# libFuzzer, FUZZ_SECONDS a target, in a build of its own with clang
FUZZ_SECONDS = 60
fuzz:
	$(MKDIR_P) fuzz-build
	cd fuzz-build && $(abs_top_srcdir)/configure --enable-fuzzer CC=clang \
		CFLAGS='-g -O1 -fsanitize=fuzzer-no-link,address,undefined' >/dev/null
	cd fuzz-build && $(MAKE) $(BUILT_SOURCES) && $(MAKE) $(FUZZ_TARGETS)
	cd fuzz-build && for target in $(FUZZ_TARGETS); do \
		name=$${target##*/fuzz-}; \
		$(MKDIR_P) corpus-$$name; \
		echo "$$target, $(FUZZ_SECONDS) s"; \
		./$$target -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 corpus-$$name \
			$$(ls -d $(abs_top_srcdir)/tests/fuzz/corpus/$$name 2>/dev/null) 2>&1 | \
			tail -n 20 | grep -E '^(stat|==|SUMMARY|artifact|fuzz)' ; \
		[ -z "$$(ls crash-* leak-* timeout-* 2>/dev/null)" ] || exit 1; \
	done
.PHONY: fuzz
# cli
check_PROGRAMS += tests/json-get tests/index-sql
tests_json_get_SOURCES = tests/json-get.c
tests_json_get_LDADD = $(JANSSON_LIBS)
tests_index_sql_SOURCES = tests/index-sql.c
tests_index_sql_LDADD = $(SQLITE_LIBS)
check_PROGRAMS += tests/diff-file
tests_diff_file_SOURCES = tests/diff-file.c
tests_diff_file_LDADD =
CORE_SCRIPT_TESTS += \
	tests/test-cli-commands.sh \
	tests/test-cli-errors.sh \
	tests/test-cli-import.sh \
	tests/test-cli-layers.sh
SCRIPT_TESTS += \
	tests/test-cli-busy.sh \
	tests/test-cli-copy.sh \
	tests/test-cli-damage.sh \
	tests/test-cli-export.sh \
	tests/test-cli-drop.sh \
	tests/test-cli-gc.sh \
	tests/test-cli-guests.sh \
	tests/test-cli-hardship.sh \
	tests/test-cli-kill.sh \
	tests/test-cli-output.sh \
	tests/test-cli-readonly.sh \
	tests/test-cli-space.sh \
	tests/test-cli-views.sh

# pagoda as it is where libzstd is not
check_PROGRAMS += tests/pagoda-without-zstd
tests_pagoda_without_zstd_SOURCES = $(pagoda_SOURCES) db/codec.c
tests_pagoda_without_zstd_CPPFLAGS = $(pagoda_CPPFLAGS) -DCODEC_WITHOUT_ZSTD
CORE_SCRIPT_TESTS += tests/test-cli-codec.sh
SCRIPT_TESTS += tests/test-cli-repack.sh
EXTRA_DIST += tests/data/store-1.tar.xz

# a clock that jumps, for LD_PRELOAD
check_DATA = tests/clock-jump.so
tests/clock-jump.so: tests/clock-jump.c
	$(AM_V_CC)$(MKDIR_P) tests && $(CC) -O2 -Wall -shared -fPIC -o $@ '$(srcdir)/tests/clock-jump.c'
CLEANFILES += tests/clock-jump.so
EXTRA_DIST += tests/clock-jump.c
SCRIPT_TESTS += tests/test-clock.sh

# the model test
check_PROGRAMS += tests/model
tests_model_SOURCES = tests/model.c tests/model.h \
	tests/model-compare.c tests/model-draft.c tests/model-store.c
tests_model_LDADD =
SCRIPT_TESTS += tests/test-model.sh

# tree
check_PROGRAMS += tests/demo-process
tests_demo_process_SOURCES = tests/demo-process.c
SCRIPT_TESTS += \
	tests/test-bootstrap.sh \
	tests/test-manpages.sh \
	tests/test-rooms.sh
EXTRA_DIST += tests/demo.sh

# vmm
check_LIBRARIES += tests/vmm/libvmm.a
tests_vmm_libvmm_a_SOURCES = \
	tests/vmm/balloon.c tests/vmm/balloon.h \
	tests/vmm/command.c tests/vmm/command.h \
	tests/vmm/disk.c tests/vmm/disk.h \
	tests/vmm/guest.c tests/vmm/guest.h \
	tests/vmm/handover.c tests/vmm/handover.h \
	tests/vmm/history.c tests/vmm/history.h \
	tests/vmm/image.c tests/vmm/image.h \
	tests/vmm/machine.c tests/vmm/machine.h \
	tests/vmm/memory.c tests/vmm/memory.h \
	tests/vmm/serial.c tests/vmm/serial.h \
	tests/vmm/state.c tests/vmm/state.h \
	tests/vmm/vm.c tests/vmm/vm.h
tests_vmm_libvmm_a_LIBADD = tests/vmm/guest-code.o
# by hand: automake's own way would need AM_PROG_AS
tests/vmm/guest-code.o: tests/vmm/guest-code.S tests/vmm/guest.h tests/vmm/$(am__dirstamp)
	$(AM_V_CC)$(CC) $(DEFS) $(AM_CPPFLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ '$(srcdir)/tests/vmm/guest-code.S'
EXTRA_DIST += tests/vmm/guest-code.S tests/vmm/functions.sh
CLEANFILES += tests/vmm/guest-code.o
check_PROGRAMS += tests/vmm/vmm
tests_vmm_vmm_SOURCES = tests/vmm/main.c
tests_vmm_vmm_LDADD = tests/vmm/libvmm.a libbase.a
UNIT_TESTS += tests/check-vmm tests/check-vmm-handover
tests_check_vmm_SOURCES = tests/check-vmm.c tests/unit.h
tests_check_vmm_LDADD = tests/vmm/libvmm.a libbase.a $(CHECK_LIBS)
tests_check_vmm_handover_SOURCES = tests/check-vmm-handover.c tests/unit.h
tests_check_vmm_handover_LDADD = tests/vmm/libvmm.a libbase.a $(CHECK_LIBS)
SCRIPT_TESTS += \
	tests/test-vmm-balloon.sh \
	tests/test-vmm-diff.sh \
	tests/test-vmm-layers.sh \
	tests/test-vmm-refuse.sh \
	tests/test-vmm-restore.sh \
	tests/test-vmm-snapshot.sh

if HAVE_CHECK
check_PROGRAMS += $(UNIT_TESTS)
CORE_TESTS = $(UNIT_TESTS) $(CORE_SCRIPT_TESTS)
TESTS = $(CORE_TESTS) $(SCRIPT_TESTS)
else
CORE_TESTS = $(CORE_SCRIPT_TESTS)
TESTS = $(CORE_TESTS) $(SCRIPT_TESTS)
endif

dist_check_SCRIPTS += $(CORE_SCRIPT_TESTS) $(SCRIPT_TESTS)
EXTRA_DIST += tests/functions.sh tests/apart.sh tests/qemu-functions.sh
