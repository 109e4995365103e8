#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who may see a view: uid=, gid=, mode=, allow_other.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_program setpriv
probe=$top_builddir/tests/view-probe
other=12345
chmod 755 "$work"

"$probe" image one.img 50 3
chmod 644 one.img
pagoda -s store init || fail "init"
pagoda -s store import one one.img >/dev/null || fail "import"

# as UID GID COMMAND...
as() {
	uid=$1
	gid=$2
	shift 2
	setpriv --reuid="$uid" --regid="$gid" --clear-groups "$@"
}

say "without allow_other nobody else"
mount_store store view
as $other $other cat view/one/mem >out 2>&1 && fail "another user sees a private view"
pagoda umount view || fail "umount"

say "allow_other leaves it to the mode"
mount_store store view -o allow_other
as $other $other cat view/one/mem >out 2>&1 && fail "others may read mode 0440"
expect_text "Permission denied" out
pagoda umount view || fail "umount"

say "owner and group"
mount_store store view -o "allow_other,uid=$other,gid=54321"
[ "$(stat -c '%u %g %a' view/one/mem)" = "$other 54321 440" ] || fail "owner of mem"
[ "$(stat -c '%u %g %a' view/one)" = "$other 54321 550" ] || fail "owner of a directory"
as $other $other cmp one.img view/one/mem || fail "the owner cannot read"
as 1 54321 cmp one.img view/one/mem || fail "the group cannot read"
as 1 1 cat view/one/mem >out 2>&1 && fail "others can read"
as $other $other "$probe" sealed view/one/mem 2>out && fail "0440 was opened for writing"
expect_text "Permission denied" out
: | as 1 54321 sh -c 'cat >view/one/workingset' 2>out && fail "the group may write workingset"
printf 'pagoda-workingset 1 page_size=4096\n0 1 r\n' >ws
as $other $other sh -c 'cat ws >view/one/workingset' || fail "the owner may not write workingset"
same ws view/one/workingset
pagoda umount view || fail "umount"

say "mode"
mount_store store view -o "allow_other,uid=$other,mode=664"
[ "$(stat -c %a view/one/mem)" = 664 ] || fail "mode of mem"
[ "$(stat -c %a view/one)" = 555 ] || fail "mode of a directory"
[ "$(stat -c %a view/one/workingset)" = 664 ] || fail "mode of workingset"
as $other $other "$probe" sealed view/one/mem || fail "the owner cannot open it for writing"
as 1 1 cmp one.img view/one/mem || fail "others cannot read 0664"
pagoda umount view || fail "umount"

say "ro"
mount_store store view -o ro
same one.img view/one/mem
cat ws 2>/dev/null >view/one/workingset && fail "ro was written"
same ws view/one/workingset
