#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# While another process writes to the store, those who store working sets wait,
# and nobody else does: reads, opens and listings go on. PAGODA_LONG=1 also waits
# until the store is given up as busy, which takes two minutes.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe
wait_limit=20 # s, for what must not wait at all: below the 30 s of a store

"$probe" image one.img 1000 9
pagoda -s store init || fail "init"
for name in one two; do
	pagoda -s store import $name one.img >/dev/null || fail "import"
done
mkdir view control
mounted "$work/view"
mounted "$work/control"
mount -t fusectl none control || skip "needs fusectl"
ws=view/one/workingset
printf 'pagoda-workingset 1 page_size=4096\n0 4 r\n' >old
printf 'pagoda-workingset 1 page_size=4096\n8 4 w\n' >new
mkfifo hold held

# view_starts: mounts it; $daemon is its pid, $requests how many the kernel waits for
view_starts() {
	"$pagodafs" -f store view 2>log &
	daemon=$!
	started $daemon
	"$probe" wait-view view || fail "no view"
	requests=control/$(grep -F " $work/view " /proc/self/mountinfo |
		sed 's/.* 0:\([0-9]*\) .*/\1/')/waiting
	cat old >$ws || fail "the first working set"
}

view_ends() {
	wait $daemon
	got=$?
	ended $daemon
	[ $got = "$1" ] || fail "exit $got, not $1: $(cat log)"
}

# lock_taken and lock_dropped: another process has the writer lock in between
lock_taken() {
	"$probe" hold-writer store <hold >held &
	holder=$!
	started $holder
	exec 5>hold
	read -r _ <held
}

lock_dropped() {
	exec 5>&-
	wait $holder || fail "the holder of the lock"
	ended $holder
}

# writers COUNT: that many store at once; who fails leaves failed.N. Without
# O_TRUNC, which the kernel does one at a time for a file; old and new are of one
# length.
writers() {
	i=0
	writers=
	while [ $i -lt "$1" ]; do
		i=$((i + 1))
		{ cat new 1<>$ws || : >failed.$i; } 2>message.$i 5>&- &
		writers="$writers $!"
		started $!
	done
}

failed() { find . -maxdepth 1 -name 'failed.*' | wc -l; }

# all_wait COUNT: until so many requests wait, but for those that were refused
all_wait() {
	eventually all_here "$1" || fail "$(cat "$requests") wait and $(failed) failed, not $1"
}
all_here() { [ $(($(cat "$requests") + $(failed))) -ge "$1" ]; }

writers_end() {
	for writer in $writers; do
		wait "$writer"
		ended "$writer"
	done
}

say "four writers wait, and no reader"
view_starts
lock_taken
writers 4
# of another one: the kernel lets writers of a file wait for its truncation
"$probe" empty view/two/workingset 5>&- &
truncation=$!
started $truncation
all_wait 5
timeout $wait_limit cmp one.img view/one/mem || fail "mem cannot be read"
timeout $wait_limit cmp one.img view/one/diff || fail "diff cannot be read"
timeout $wait_limit cmp old $ws || fail "workingset cannot be read"
[ "$(timeout $wait_limit ls view | wc -l)" = 2 ] || fail "it cannot be listed"
timeout $wait_limit "$probe" cached view/one/mem || fail "mem cannot be opened for writing"
[ "$(failed)" = 0 ] || fail "a writer did not wait"
lock_dropped
writers_end
wait $truncation || fail "the truncation"
ended $truncation
[ "$(failed)" = 0 ] || fail "a writer failed"
cat new >$ws || fail "another one"
same new $ws
[ ! -s log ] || fail "it said: $(cat log)"

say "so many wait and no more"
cat old >$ws || fail "back to the old one"
lock_taken
writers 70
all_wait 70
six_failed() { [ "$(failed)" -ge 6 ]; }
eventually six_failed || fail "$(failed) were refused, not 6"
[ "$(failed)" = 6 ] || fail "$(failed) were refused, not 6"
cat message.* >messages
expect_text "busy" messages
expect_text "64 others wait to be stored" log
timeout $wait_limit cmp one.img view/one/mem || fail "mem cannot be read"
same old $ws
lock_dropped
writers_end
[ "$(failed)" = 6 ] || fail "$(failed) failed, not 6"
same new $ws
rm failed.* message.*

say "what waits when the view ends is stored"
cat old >$ws || fail "back to the old one"
lock_taken
writers 3
all_wait 3
kill -TERM $daemon
eventually not grep -qF " $work/view " /proc/self/mountinfo || fail "it is still mounted"
lock_dropped
writers_end
[ "$(failed)" = 0 ] || fail "a writer failed"
view_ends 0
view_starts
lock_taken
: >$ws || fail "emptying"
umount -l view
lock_dropped
view_ends 0
"$pagodafs" store view || fail "mount"
[ ! -s $ws ] || fail "what was emptied last is not"
umount view || fail "umount"

say "an aborted connection"
view_starts
lock_taken
writers 3
all_wait 3
echo 1 >"${requests%waiting}abort"
writers_end
[ "$(failed)" = 3 ] || fail "$(failed) of 3 writers failed"
lock_dropped
view_ends 1
rm failed.*

[ -n "${PAGODA_LONG:-}" ] || exit 0
say "a store that stays busy is given up, for all that wait"
view_starts
lock_taken
writers 10
all_wait 10
start=$(date +%s)
writers_end
took=$(($(date +%s) - start))
[ "$(failed)" = 10 ] || fail "$(failed) of 10 writers failed"
# a shell closes it after cat has, and each close waits for at most two times 30 s
[ $took -le 130 ] || fail "they waited $took s"
expect_text "writes to the store" log
same old $ws
lock_dropped
