#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What one machine has read of a sealed snapshot is in the kernel's cache for the
# next, also when one opens the file for writing, as QEMU does.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe

"$probe" image one.img 1000 8
pagoda -s store init || fail "init"
pagoda -s store import one one.img >/dev/null || fail "import"
mount_store store view
"$probe" cached view/one/mem || fail "mem"
"$probe" cached view/one/diff || fail "diff"
