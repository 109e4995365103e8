#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The working set: replaced as a whole at close, refused if it is none, kept by
# the store.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe

"$probe" image one.img 100 5
pagoda -s store init || fail "init"
pagoda -s store import one one.img >/dev/null || fail "import"
mkdir view
mounted "$work/view"
"$pagodafs" store view 2>log || fail "mount"
ws=view/one/workingset

[ ! -s $ws ] || fail "a new snapshot has a working set"
"$probe" replace $ws || fail "replacing"
expect_text "storing of one/workingset: not a working set: line 1" log

printf 'pagoda-workingset 1 page_size=4096\n0 4 r\n99 1 w\n' >good
printf 'pagoda-workingset 1 page_size=4096\n99 2 r\n' >outside
cp good $ws || fail "cp"
same good $ws
[ "$(stat -c %s $ws)" = "$(stat -c %s good)" ] || fail "its size"
cp outside $ws 2>message && fail "a run outside the image was taken"
expect_text "Invalid argument" message
same good $ws
exec 3<$ws
: | cat >$ws || fail "emptying"
cmp good - <&3 || fail "a reader lost what it had opened"
exec 3<&-
# its release comes after the close has returned
eventually [ ! -s $ws ] || fail "it was not emptied"

cat good >$ws || fail "cat"
pagoda umount view || fail "umount"
"$pagodafs" store view 2>>log || fail "mount again"
same good $ws

say "gone with its snapshot"
exec 3>$ws
cat good >&3
pagoda -s store rm one >/dev/null || fail "rm"
exec 3>&- || say "as it should"
[ ! -e view/one ] || fail "one is still there"
