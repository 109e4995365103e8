#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A store on read-only media: everything is read, nothing is written.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe

"$probe" image one.img 100 9
pagoda -s store init || fail "init"
pagoda -s store import one one.img --vmstate one.img >/dev/null || fail "import"
printf 'pagoda-workingset 1 page_size=4096\n0 4 r\n' >good
mount_store store view
cp good view/one/workingset || fail "workingset"
pagoda umount view || fail "umount"

mkdir frozen
mount --bind store frozen
mounted "$work/frozen"
mount -o remount,bind,ro frozen || skip "cannot make a read-only mount"
mount_store frozen view
same one.img view/one/mem
same one.img view/one/vmstate
same good view/one/workingset
"$probe" sealed view/one/mem || fail "a sealed file opened for writing"
cp good view/one/workingset 2>message && fail "a read-only store was written"
expect_text "Read-only file system" message
truncate -s 0 view/one/workingset 2>message && fail "a read-only store was truncated"
expect_text "Read-only file system" message
same good view/one/workingset
pagoda umount view || fail "umount"
