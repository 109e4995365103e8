#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# rm and import of the same name below a mount, with readers: whoever opens the
# name gets the new machine, whoever holds the old one keeps it, and rm says busy
# as long as he does.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe

pagoda -s store init || fail "init"
for byte in a b; do
	head -c 262144 /dev/zero | tr '\0' $byte >$byte.img
done
pagoda -s store import vm a.img >/dev/null || fail "import"
pagoda -s store import held a.img >/dev/null || fail "import"
mount_store store view

exec 4<view/held/mem
pagoda -s store rm held >out 2>&1 && fail "an open snapshot was removed"
exec 4<&-
pagoda -s store rm held || fail "rm of what was let go"

say "readers that are interrupted leave nothing open"
pagoda -s store import held a.img >/dev/null || fail "import"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	cat view/held/mem view/held/diff view/held/mem >/dev/null &
	kill -KILL $! 2>/dev/null
	wait $!
done
cmp a.img view/held/mem || fail "the view after interrupted readers"
pagoda -s store rm held || fail "rm after interrupted readers"

say "one name, many machines"
mkfifo stop
exec 5<>stop # a writer from the beginning, so that nobody waits for one
readers=
for i in 1 2; do
	"$probe" uniform view/vm/mem <stop 5>&- &
	readers="$readers $!"
	started $!
done
byte=a
rounds=100
[ -z "${PAGODA_LONG:-}" ] || rounds=1000
rounds=${ROUNDS:-$rounds}
round=0
while [ $round -lt "$rounds" ]; do
	next=b
	[ $byte = b ] && next=a
	# one reader has the name renamed under it, one opened it before in the cache
	exec 3<view/vm/mem
	cmp -s $byte.img view/vm/mem || fail "round $round: not the machine of this round"
	pagoda -s store rename vm old >/dev/null || fail "rename"
	pagoda -s store import vm $next.img >/dev/null || fail "import of the same name"
	cmp -s $next.img view/vm/mem || fail "round $round: an old byte under the new name"
	cmp -s $byte.img - <&3 || fail "round $round: the open file changed"
	exec 3<&-
	pagoda -s store rm old >/dev/null || fail "rm"
	[ ! -e view/old ] || fail "round $round: old is still there"
	pagoda -s store rm vm >/dev/null || fail "rm"
	[ ! -e view/vm/mem ] || fail "round $round: vm is still there"
	pagoda -s store import vm $byte.img >/dev/null || fail "import"
	cmp -s $byte.img view/vm/mem || fail "round $round: an old byte after rm and import"
	pagoda -s store rm vm >/dev/null || fail "rm"
	pagoda -s store import vm $next.img >/dev/null || fail "import"
	byte=$next
	round=$((round + 1))
done
exec 5>&-
for reader in $readers; do
	wait "$reader" || fail "a reader saw what it must not"
	ended "$reader"
done
