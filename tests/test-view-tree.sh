#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tree of a view: names, modes, owners, sizes; snapshots come and go below a
# mount without a remount.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe

"$probe" image one.img 300 1
"$probe" image two.img 200 2
echo machine state >vmstate.in
pagoda -s store init || fail "init"
pagoda -s store import one one.img --vmstate vmstate.in >/dev/null || fail "import"
mount_store store view

say "names and modes"
ls view/one >names
printf '%s\n' diff info.json maps mem vmstate workingset >want
same want names
stat -c '%n %A %u %g %s %h' view view/one view/one/mem view/one/diff view/one/vmstate \
	view/one/workingset >stats
cat >want <<-END
	view dr-xr-x--- 0 0 0 1
	view/one dr-xr-x--- 0 0 0 2
	view/one/mem -r--r----- 0 0 1228800 1
	view/one/diff -r--r----- 0 0 1228800 1
	view/one/vmstate -r--r----- 0 0 14 1
	view/one/workingset -rw-r----- 0 0 0 1
END
same want stats
same vmstate.in view/one/vmstate
for file in info.json maps; do
	[ "$(stat -c %s view/one/$file)" = "$(wc -c <view/one/$file)" ] || fail "size of $file"
	[ "$(stat -c %A view/one/$file)" = "-r--r-----" ] || fail "mode of $file"
done
expect_text '"name": "one"' view/one/info.json
[ "$(stat -f -c '%b %S' view)" = "$(stat -f -c '%b %S' store)" ] || fail "statfs"
[ "$(stat -c %i view)" = 1 ] || fail "the root's number"

say "what is mounted"
grep -F " $work/view " /proc/self/mountinfo >entry
expect_text " - fuse.pagodafs $work/store " entry
expect_text "nosuid,nodev,noexec" entry

say "snapshots come and go"
[ ! -e view/two ] || fail "two is there already"
pagoda -s store import two two.img >/dev/null || fail "import below a mount"
same two.img view/two/mem
[ ! -e view/two/vmstate ] || fail "a vmstate from nowhere"
pagoda -s store rename two deux || fail "rename"
[ ! -e view/two ] || fail "two is still there"
same two.img view/deux/mem
expect_text '"name": "deux"' view/deux/info.json
exec 3<view/deux/mem
pagoda -s store rename deux trois || fail "rename of an open snapshot"
cmp two.img - <&3 || fail "an open file after a rename"
exec 3<&-
ls view >names
printf '%s\n' one trois >want
same want names

say "a directory that was removed under its visitor"
cd view/trois || exit 99
cat mem workingset info.json >/dev/null || fail "trois cannot be read"
pagoda -s "$work/store" rm trois >/dev/null || fail "rm"
for file in mem info.json workingset; do
	cat $file >/dev/null 2>"$work/message" && fail "$file of a removed snapshot was read"
	expect_text "No such file or directory" "$work/message"
done
[ ! -e "$work/view/trois" ] || fail "trois is still there"
[ -z "$(ls -A . 2>/dev/null)" ] || fail "a removed directory has entries"
cd "$work" || exit 99
same one.img view/one/mem
