#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mount and umount: the view answers when mount returns; when umount returns, the
# daemon has ended. Nothing but a view is ever unmounted.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH

PAGODA_STORE=$work/store
export PAGODA_STORE
head -c 1048576 /dev/urandom >image
pagoda -q init || fail init
pagoda -q import image image || fail import
mkdir view

daemon_pid() { # the pid that the mount tells
	pagoda_holders=$(grep -l pagodafs store/holders/* 2>/dev/null) || return 1
	basename "$pagoda_holders"
}
# Nobody may have collected a process that has ended: then it is a zombie.
has_ended() { ! grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null; }
is_mounted() { mountpoint -q "$work/view"; }

mounted "$work/view"
i=0
while [ $i -lt 10 ]; do
	pagoda mount view || fail "mount"
	cmp view/image/mem image || fail "the view does not answer"
	pid=$(daemon_pid) || fail "the daemon is not among the holders"
	pagoda umount view || fail "umount"
	is_mounted && fail "it is still mounted"
	has_ended "$pid" || fail "umount returned before daemon $pid has ended"
	i=$((i + 1))
done

# umount waits for the end of a daemon that has no time for it: on one CPU with a
# busy loop, at a priority below everything
nproc=$(getconf _NPROCESSORS_ONLN)
if command -v chrt >/dev/null && command -v taskset >/dev/null && [ "$nproc" -gt 1 ]; then
	taskset -c 0 sh -c 'while :; do :; done' &
	busy=$!
	started $busy
	pagoda mount view || fail mount
	pid=$(daemon_pid)
	taskset -a -c -p 0 "$pid" >/dev/null
	chrt -a -i -p 0 "$pid"
	taskset -c 1 "$top_builddir/pagoda" umount view || fail umount
	has_ended "$pid" || fail "umount returned before the slow daemon $pid has ended"
	kill $busy
	wait $busy 2>/dev/null
	ended $busy
fi

# as JSON, and by a path that needs resolving
ln -s view link
pagoda --json mount view >out.json || fail "mount --json: $(cat out.json)"
[ "$(json-get out.json mounted dir)" = view ] || fail "mount --json: $(cat out.json)"
pagoda --json umount link/../link >out.json || fail "umount of a symlink: $(cat out.json)"
[ "$(json-get out.json unmounted dir)" = link/../link ] || fail "umount --json: $(cat out.json)"

# options reach pagodafs, errors of it come back with their code
pagoda mount view -o mode=0400 || fail "mount -o"
[ "$(stat -c %a view/image/mem)" = 400 ] || fail "mode $(stat -c %a view/image/mem)"
# busy: 5 after a while, and then it works
exec 5<view/image/mem
expect 5 pagoda umount view 2>err
expect_text "umount view: it is in use" err
is_mounted || fail "a busy view was unmounted"
# what is closed while umount waits is waited for
"$top_builddir/pagoda" umount view 5<&- &
waiter=$!
until [ "$(cat /proc/$waiter/wchan 2>/dev/null)" = hrtimer_nanosleep ]; do
	has_ended $waiter && break
done
exec 5<&-
wait $waiter || fail "umount did not wait for the close"
is_mounted && fail "it is still mounted after the close"
pagoda mount view -o nonsense 2>err && fail "a nonsense option was accepted"
expect_text nonsense err
pagoda --json mount view -o nonsense >out.json 2>err && fail "accepted with --json"
[ ! -s err ] || fail "mount --json wrote: $(cat err)"
json-get out.json error text | grep -q nonsense || fail "mount --json: $(cat out.json)"
expect 4 pagoda -s nowhere mount view 2>err
pagoda --json -s nowhere mount view >out.json
[ "$(json-get out.json error code)" = 4 ] || fail "mount --json: $(cat out.json)"

# from who ignores the end of its children
env --ignore-signal=CHLD "$top_builddir/pagoda" mount view || fail "mount with SIGCHLD ignored"
env --ignore-signal=CHLD "$top_builddir/pagoda" umount view || fail "umount with SIGCHLD ignored"
env --ignore-signal=CHLD "$top_builddir/pagoda" mount view -o nonsense 2>err && fail "a nonsense option was accepted"
expect_text nonsense err

# --foreground: this process is the daemon
"$top_builddir/pagoda" mount view --foreground &
pid=$!
started $pid
until is_mounted; do kill -0 $pid 2>/dev/null || fail "mount --foreground ended"; done
pagoda umount view || fail "umount of a daemon in the foreground"
wait $pid || fail "the daemon in the foreground: exit $?"
ended $pid

# dead: the daemon was killed, the mount is taken away all the same
pagoda mount view || fail mount
exec 5<view/image/mem
kill -KILL "$(daemon_pid)"
eventually not ls view >/dev/null 2>&1 || fail "the view does not end"
pagoda umount view || fail "umount of a dead view"
exec 5<&-
is_mounted && fail "the dead view is still mounted"

# mounted in two places: taken from one, and told where the other is
mkdir bound
pagoda mount view || fail mount
pid=$(daemon_pid)
mount --bind view bound || fail "mount --bind"
mounted "$work/bound"
expect 5 timeout "$patience" "$top_builddir/pagoda" umount view 2>err
expect_text "it is mounted on $work/bound too" err
is_mounted && fail "it is still mounted in the first place"
same bound/image/mem image
pagoda umount bound || fail "umount of the other place"
has_ended "$pid" || fail "umount returned before daemon $pid has ended"

# what is not a view stays
mount -t tmpfs none view
expect 6 pagoda umount view 2>err
expect_text "tmpfs is mounted there" err
is_mounted || fail "a tmpfs was unmounted"
umount view
# also where it lies over a view
pagoda mount view || fail mount
mounted "$work/view"
mount -t tmpfs none view
expect 6 pagoda umount view 2>err
umount view
pagoda umount view || fail "umount of what was covered"
expect 6 pagoda umount view 2>err

# rm of what is open in a view: refused, and told by whom
pagoda mount view || fail mount
exec 5<view/image/mem
expect 5 pagoda rm image 2>err
expect_text "in use by pagodafs" err
exec 5<&-
pagoda rm -q image || fail "rm after close"
pagoda umount view || fail umount

say "a view whose daemon is stopped is no reason to hang"
pagoda -s store mount view || fail "mount"
daemon=$("$top_builddir/tests/view-probe" pid view) || fail "no pid"
started "$daemon"
stop_process "$daemon"
expect 5 timeout 30 "$top_builddir/pagoda" umount view 2>err
kill -CONT "$daemon"
expect_text 'has not answered' err
expect 0 pagoda umount view
ended "$daemon"
