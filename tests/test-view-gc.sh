#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# rm and gc under a live restore and a reader of the view: nothing is missed, and the
# space comes back, from the file system too, while both go on.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_fuse
requires_userfaultfd
probe=$top_builddir/tests/view-probe

noise() { head -c $(($1 * 4096)) /dev/urandom; }
packs_kib() { du -sk store/packs | cut -f 1; }
# What the kernel has of the file is forgotten: the next read asks the daemon.
forget() { dd if="$1" iflag=nocache count=0 status=none; }
removed_packs() { find "/proc/$1/fd" -lname '*.pack (deleted)' 2>/dev/null | wc -l; }

pagoda -q -s store init || fail init
noise 2500 >victim.mem
{ head -c $((600 * 4096)) victim.mem && noise 100; } >alive.mem
pagoda -q -s store import victim victim.mem && pagoda -q -s store import alive alive.mem || fail import
mount_store store view
mount_store store again # a second view of the store
daemon=$("$probe" pid view)

say "a reader and a machine that have it open"
exec 4<view/alive/mem
dd bs=4096 count=10 status=none <&4 | cmp -n 40960 - alive.mem || fail "the first pages"
dd if=view/victim/mem of=/dev/null bs=1M status=none || fail "the victim"
start_handler socket view/alive --once 2>log
start_client -i alive.mem -s socket --wait --all
expect 5 pagoda -s store rm alive 2>err
expect_text "in use by pagodafs" err
pagoda -q -s store rm victim || fail "rm of what nobody has open"
before=$(packs_kib)
pagoda --json -s store gc >out.json || fail gc
after=$(packs_kib)
say "$before KiB of packs after rm, $after after gc"
[ "$after" -le 3000 ] || fail "$after KiB for 700 pages"
[ "$before" -ge 10000 ] || fail "nothing was left for gc to do: $before KiB"
pagoda -q -s store check --read-data || fail check
# the reader goes on where it was, the machine begins
forget view/alive/mem
go_on
expect_right
expect_end 0 "$handler_pid"
dd bs=1M status=none <&4 | cat >rest
tail -c +40961 alive.mem | cmp - rest || fail "the reader got something else"
exec 4<&-
forget view/alive/mem
cmp view/alive/mem alive.mem || fail "alive has changed"

say "no removed pack is kept by the daemon, though the snapshot stays open"
noise 2500 >victim.mem
{ head -c $((1000 * 4096)) victim.mem && noise 10; } >second.mem
pagoda -q -s store import victim victim.mem && pagoda -q -s store import second second.mem || fail import
exec 5<view/second/mem
dd bs=4096 count=1 status=none of=/dev/null <&5
pagoda -q -s store rm victim && pagoda -q -s store gc || fail "rm and gc"
[ "$(removed_packs "$daemon")" -eq 1 ] || fail "the daemon had no pack that was removed"
# Each read may be the first of a second. Nothing is opened or closed meanwhile, which
# would let the pack go as well.
page=1
while [ "$(removed_packs "$daemon")" -gt 0 ] && [ $page -lt 1000 ]; do
	dd iflag=nocache count=0 status=none <&5
	dd bs=4096 count=1 status=none <&5 >/dev/null
	page=$((page + 1))
done
[ "$(removed_packs "$daemon")" -eq 0 ] || fail "the daemon keeps packs that were removed"
exec 5<&-
cmp view/second/mem second.mem || fail "second has changed"

say "collections in a loop under readers"
rounds=10
[ -z "${PAGODA_LONG:-}" ] || rounds=200
read_loop() {
	n=0
	while [ ! -e stop ]; do
		forget "$1/alive/mem"
		cmp "$1/alive/mem" alive.mem || exit 1
		n=$((n + 1))
	done
	echo $n >"reads.$1"
}
read_loop view &
reader_1=$!
started $reader_1
read_loop again &
reader_2=$!
started $reader_2
round=0
while [ $round -lt $rounds ]; do
	# alive takes turns: its pages are in the pack of a snapshot that goes
	noise 1500 >victim.mem
	{ head -c $((400 * 4096)) victim.mem && tail -c $((300 * 4096)) alive.mem; } >next.mem
	pagoda -q -s store import victim victim.mem && pagoda -q -s store import next next.mem || fail import
	start_handler socket view/next --once 2>log
	start_client -i next.mem -s socket --wait -n 500 --all
	pagoda -q -s store rm victim || fail rm
	go_on
	pagoda -q -s store gc || fail gc
	expect_right
	expect_end 0 "$handler_pid"
	cmp view/next/mem next.mem || fail "round $round: next has changed"
	pagoda -q -s store rm next || fail "rm of next"
	round=$((round + 1))
done
: >stop
wait $reader_1 || fail "a reader saw other bytes"
ended $reader_1
wait $reader_2 || fail "a reader saw other bytes"
ended $reader_2
say "$(cat reads.view) and $(cat reads.again) reads of all of it"
pagoda -q -s store gc && pagoda -q -s store check --read-data || fail check
[ "$(packs_kib)" -le 8000 ] || fail "$(packs_kib) KiB of packs at the end"
cmp view/alive/mem alive.mem && cmp view/second/mem second.mem || fail "at the end"
