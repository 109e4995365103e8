#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Mounting: what is refused and with which exit code, what a dead daemon left,
# how a view ends.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe

"$probe" image one.img 100 6
pagoda -s store init || fail "init"
pagoda -s store import one one.img >/dev/null || fail "import"
mkdir view view/inner store/inner
mounted "$work/view"

# views DIR: how many are mounted there
views() { grep -cF " $work/$1 " /proc/self/mountinfo; }

# refused CODE TEXT ARGUMENT...
refused() {
	code=$1
	text=$2
	shift 2
	expect "$code" "$pagodafs" "$@" 2>message
	expect_text "$text" message
	[ "$(wc -l <message)" = 1 ] || fail "not one line: $(cat message)"
	[ "$(views view)" = 0 ] || fail "mounted all the same: $*"
}

say "refused"
refused 2 "unknown option" --nonsense store view
refused 2 "a store and a directory" store
refused 2 "-o moed=1 is not an option" -o moed=1 store view
refused 2 "-o mode=" -o mode=9 store view
refused 4 "cannot open the store nothing" nothing view
refused 4 "cannot open the store view" view view
refused 1 "No such file" store nowhere
refused 6 "not a directory" store one.img
refused 6 "inside the store" store store/inner
refused 6 "inside the store" store store
refused 6 "the store is inside it" store "$work"
ln -s view link
refused 6 "symbolic link" store link
refused 6 "symbolic link" store link/
refused 6 "symbolic link" -f store link//
mkdir bound other
mount --bind store bound
mounted "$work/bound"
refused 6 "inside the store" store bound/inner
umount bound
"$pagodafs" --help | grep -q 'usage: pagodafs' || fail "--help"
"$pagodafs" --version | grep -q '^pagodafs [0-9]' || fail "--version"

say "nothing inherited stays open, and nobody waits for a daemon"
mkfifo pipe
"$pagodafs" store view >pipe 2>&1 7>pipe &
cat pipe >said || fail "cat"
wait $! || fail "mount"
same /dev/null said
pid=$("$probe" pid view)
ls -l /proc/"$pid"/fd >fds
grep -q pipe: fds && fail "a pipe is still open"
[ "$(readlink /proc/"$pid"/cwd)" = / ] || fail "it holds a directory"

say "twice on one directory"
expect 5 "$pagodafs" store view 2>message
expect_text "a view is mounted there" message
expect 5 "$pagodafs" -f store view 2>message
[ "$(views view)" = 1 ] || fail "stacked"
same one.img view/one/mem

say "twice on two directories"
mkdir second
mounted "$work/second"
"$pagodafs" store second || fail "a second view"
same one.img second/one/mem
pid2=$("$probe" pid second)
kill -TERM "$pid2"
"$probe" wait "$pid2" || fail "SIGTERM"
[ "$(views second)" = 0 ] || fail "still mounted"

say "a killed daemon's view is taken away"
exec 3<view/one/mem
kill -KILL "$pid"
"$probe" wait "$pid" || fail "SIGKILL"
cat <&3 >/dev/null 2>message && fail "a dead view was read"
exec 3<&-
[ "$(views view)" = 1 ] || fail "no stale mount to clean"
"$pagodafs" store view || fail "mount over a dead view"
[ "$(views view)" = 1 ] || fail "stacked on a dead view"
same one.img view/one/mem

say "umount -l while in use"
pid=$("$probe" pid view)
exec 3<view/one/mem
umount -l view
[ "$(views view)" = 0 ] || fail "still mounted"
cmp one.img - <&3 || fail "the open file is not served"
[ -d "/proc/$pid/fd" ] || fail "the daemon went before the last close"
exec 3<&-
"$probe" wait "$pid" || fail "it does not end"

say "a view that ends leaves alone the one that follows"
# the kernel gives the device number of the old one to the new one
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	"$pagodafs" store view || fail "mount"
	pid=$("$probe" pid view)
	stop_process "$pid"
	umount -l view
	"$pagodafs" store view || fail "mount of the next"
	kill -CONT "$pid"
	"$probe" wait "$pid" || fail "it does not end"
	[ "$(views view)" = 1 ] || fail "round $round: the next view was taken away"
	pid=$("$probe" pid view)
	umount view || fail "umount"
	"$probe" wait "$pid" || fail "it does not end"
done

say "a directory that is swapped for a link meanwhile"
mkdir swap elsewhere
ln -s elsewhere swap.link
while :; do
	mv -T swap swap.dir
	mv -T swap.link swap
	mv -T swap swap.link
	mv -T swap.dir swap
done 2>/dev/null &
swapper=$!
started $swapper
mounted "$work/swap"
mounted "$work/swap.dir"
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
	"$pagodafs" store swap 2>/dev/null
	[ "$(views elsewhere)" = 0 ] || fail "round $round: mounted behind the link"
	umount -l swap 2>/dev/null || umount -l swap.dir 2>/dev/null
done
kill $swapper
wait $swapper 2>/dev/null
ended $swapper
[ "$(grep -c " $work/swap" /proc/self/mountinfo)" = 0 ] || fail "a view was left"

# foreground: starts in the background of the shell; $daemon is its pid
foreground() {
	"$pagodafs" -f "$@" store view 2>log &
	daemon=$!
	started $daemon
	"$probe" wait-view view || fail "no view"
}

# ends_with CODE
ends_with() {
	wait $daemon
	got=$?
	ended $daemon
	[ $got = "$1" ] || fail "exit $got, not $1: $(cat log)"
	[ "$(views view)" = 0 ] || fail "still mounted"
}

say "umount ends it"
foreground
umount view || fail "umount"
ends_with 0
same /dev/null log

has_gone() { [ "$(views "$1")" = 0 ]; }
for signal in TERM INT HUP; do
	say "SIG$signal while in use"
	foreground
	exec 3<view/one/mem
	head -c 4096 <&3 >start
	kill -$signal $daemon
	# it ends by itself once the view cannot be seen and the file is closed
	eventually has_gone view || fail "it is still mounted"
	cat start - <&3 | cmp one.img - || fail "the open file is not served"
	exec 3<&-
	ends_with 0
	same /dev/null log
done

say "the view mounted at two places ends at both"
foreground
mount --bind view other
mounted "$work/other"
kill -TERM $daemon
ends_with 0
[ "$(views other)" = 0 ] || fail "still bound"

say "an aborted connection"
mkdir control
mounted "$work/control"
if mount -t fusectl none control; then
	foreground
	minor=$(grep -F " $work/view " /proc/self/mountinfo | sed 's/.* 0:\([0-9]*\) .*/\1/')
	echo 1 >"control/$minor/abort"
	ends_with 1
	expect_text "its connection was aborted" log
fi

say "a store that is damaged or too new"
cp -r store bad
printf 'not a database at all, whatever was here before' |
	dd of=bad/index.db conv=notrunc status=none
rm -f bad/index.db-wal bad/index.db-shm
refused 3 "cannot open the store bad" bad view
