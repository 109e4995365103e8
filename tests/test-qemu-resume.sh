#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A real Linux guest goes on from the view: QEMU resumes guest-b with its memory
# on the sealed mem, privately mapped, and its once-a-second line goes on.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/qemu-functions.sh"

requires_fuse
requires_guest

pagoda -s store init || fail "init"
pagoda -s store import b guest-b.mem --vmstate state || fail "import"
mount_store store view

resume_guest view/b/mem off view/b/vmstate TICK
stop_qemu
# the number is the guest's own checksum of its data: it must be the one it had
[ "$(grep -c ' 109091' ticks)" = 3 ] || fail "the guest counts other data than before"
# a private mapping leaves the snapshot as it is, also in the page cache
same view/b/mem guest-b.mem
pagoda umount view || fail "umount"
pagoda -s store check --read-data || fail "check"
