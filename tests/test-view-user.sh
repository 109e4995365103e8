#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Mounting by who is not root, through fusermount3. In a mount namespace of its
# own, where anyone may open /dev/fuse, as on any desktop.
. "${srcdir:-.}/tests/apart.sh"
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_program setpriv
requires_program fusermount3
nobody=$(id -u nobody) || skip "needs the user nobody"
probe=$top_builddir/tests/view-probe
setpriv --reuid="$nobody" test -x "$pagodafs" || skip "nobody may not run $pagodafs"

as_nobody() { setpriv --reuid="$nobody" --regid="$nobody" --clear-groups "$@"; }

chmod 755 "$work"
mknod fuse c 10 229 && chmod 666 fuse && mount --bind fuse /dev/fuse || skip "cannot bind /dev/fuse"
mounted /dev/fuse
as_nobody sh -c ': 3<>/dev/fuse' 2>/dev/null || skip "no device files in $work"

"$probe" image one.img 100 10
pagoda -s store init >/dev/null || fail "init"
pagoda -s store import one one.img >/dev/null || fail "import"
mkdir view
chown -R "$nobody:$nobody" store view one.img
mounted "$work/view"

say "a view of one's own"
as_nobody "$pagodafs" store view || fail "mount"
as_nobody cmp one.img view/one/mem || fail "its owner cannot read it"
as_nobody sh -c 'exec 3<>view/one/mem' 2>/dev/null && fail "0440 was opened for writing"
expect 5 as_nobody "$pagodafs" store view 2>message
expect_text "a view is mounted there" message

say "SIGTERM"
pid=$(as_nobody "$probe" pid view) || fail "pid"
as_nobody kill -TERM "$pid"
"$probe" wait "$pid" || fail "it does not end"
grep -F " $work/view " /proc/self/mountinfo && fail "still mounted"

say "a killed daemon's view is taken away"
as_nobody "$pagodafs" store view || fail "mount"
pid=$(as_nobody "$probe" pid view) || fail "pid"
kill -KILL "$pid"
"$probe" wait "$pid" || fail "SIGKILL"
as_nobody "$pagodafs" store view || fail "mount over a dead view"
as_nobody cmp one.img view/one/mem || fail "its owner cannot read it"
pid=$(as_nobody "$probe" pid view) || fail "pid"
as_nobody fusermount3 -u view || fail "fusermount3 -u"
"$probe" wait "$pid" || fail "it does not end"
