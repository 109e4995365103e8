#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The space of a removed snapshot comes back although the mount lives on.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse

head -c 1M /dev/urandom >a
head -c 1M /dev/urandom >b
pagoda -s store init >/dev/null || fail "init"
pagoda -s store import a a >/dev/null || fail "import"
pagoda -s store import b b >/dev/null || fail "import"
mount_store store view
daemon=$("$top_builddir/tests/view-probe" pid view) || fail "no pid"

same view/a/mem a
exec 4<view/b/mem
cat <&4 >/dev/null
pagoda -s store rm a || fail "rm"
# the next file that is closed lets go of packs without a name
same view/b/mem b
exec 4<&-
pagoda -s store rm b || fail "rm"
ls -l "/proc/$daemon/fd" >fds
! grep -q 'pack (deleted)' fds || fail "removed packs are kept open: $(cat fds)"
[ "$(ls store/packs | wc -l)" = 0 ] || fail "packs are left: $(ls store/packs)"
