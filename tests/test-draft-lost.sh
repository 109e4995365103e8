#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a shared map wrote and the store had no room for is gone, as on any file system:
# but nobody reads it after that, neither who has the file open nor who opens it, and
# what is sealed is what all read.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH

mkdir disk
mounted "$work/disk"
mount -t tmpfs -o size=24M none disk || skip "cannot mount a tmpfs"
PAGODA_STORE=$work/disk/store
export PAGODA_STORE
yes pagoda | head -c 120M >base.img
pagoda -q init || fail "init"
pagoda -q import base base.img || fail "import"
pagoda -q fork base draft || fail "fork"
mkdir view
mounted "$work/view"
"$pagodafs" disk/store view 2>log || fail "mount"

mkfifo go said
exec 8<view/draft/mem
draft-probe lost view/draft/mem <go >said &
probe=$!
started $probe
exec 6>go 7<said
read -r _ <&7 || fail "the probe ended"
expect_text "No space left" log
mount -o remount,size=600M none disk || fail "remount"
echo >&6
exec 6>&- 7<&-
wait $probe || fail "the probe failed"
ended $probe

pagoda -q seal draft || fail "seal"
pagoda -q export draft sealed.img || fail "export"
cmp -s base.img sealed.img && fail "nothing was stored"
# open since before it was written, and no other open had the kernel drop anything
cmp - sealed.img <&8 || fail "who has it open reads something else"
exec 8<&-
same view/draft/mem sealed.img
pagoda -q check --read-data || fail "check"
mount_store "$PAGODA_STORE" other
same other/draft/mem sealed.img
pagoda umount other || fail "umount"
pagoda umount view || fail "umount"
