#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mount(8) and fstab(5) know the view as a type. mount(8) looks for pagodafs on the
# system's own PATH only: the script runs in a mount namespace of its own, where
# /usr/local/bin holds the one just built.
. "${srcdir:-.}/tests/apart.sh"
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_program mount.fuse3
probe=$top_builddir/tests/view-probe

mkdir bin
ln -s "$pagodafs" bin/pagodafs
mount --bind bin /usr/local/bin || skip "cannot bind /usr/local/bin"
mounted /usr/local/bin

"$probe" image one.img 100 7
pagoda -s "a store" init || fail "init"
pagoda -s "a store" import one one.img >/dev/null || fail "import"
mkdir view
mounted "$work/view"

# the pid of what is mounted there, after a look at it
check_view() {
	same one.img view/one/mem
	findmnt -no FSTYPE,SOURCE "$work/view" >entry
	expect_text "fuse.pagodafs $work/a store" entry
	"$probe" pid view
}

say "mount -t"
mount -t fuse.pagodafs "$work/a store" "$work/view" || fail "mount -t"
pid=$(check_view) || exit 1
umount view || fail "umount"
"$probe" wait "$pid" || fail "it does not end"

say "mount -t -o"
mount -t fuse.pagodafs "$work/a store" "$work/view" -o ro,allow_other,uid=7,mode=0444,noatime,nofail ||
	fail "mount -o"
pid=$(check_view) || exit 1
[ "$(stat -c '%u %a' view/one/mem)" = "7 444" ] || fail "options"
umount view || fail "umount"
"$probe" wait "$pid" || fail "it does not end"
mount -t fuse.pagodafs "$work/a store" "$work/view" -o nonsense 2>message && fail "nonsense was taken"
expect_text "-o nonsense is not an option of pagodafs" message
mount -t fuse.pagodafs "$work/nothing" "$work/view" 2>message && fail "a missing store was mounted"
expect_text "cannot open the store $work/nothing" message

say "fstab"
printf "%s\n" "$work/a\\040store $work/view fuse.pagodafs noauto,user,uid=7,gid=8,_netdev,x-test.a=b 0 0" >fstab
mount -T "$work/fstab" "$work/view" || fail "mount by fstab"
pid=$(check_view) || exit 1
[ "$(stat -c '%u %g' view/one/mem)" = "7 8" ] || fail "options of fstab"
umount view || fail "umount"
"$probe" wait "$pid" || fail "it does not end"
