#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 of pagodafs while a draft is written and synced: whatever a sync had
# acknowledged is there, every page is old or new, check is clean.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH

by_chance 20 200

PAGODA_STORE=$work/store
export PAGODA_STORE
draft-probe image base.img 2048 || fail "image"
pagoda -q init || fail "init"
pagoda -q import base base.img || fail "import"
pagoda -q fork base draft || fail "fork"
mkdir view
mounted "$work/view"
mkfifo acked
newest=0
acknowledged=0
: >log

round() {
	"$pagodafs" -f store view 2>messages &
	daemon=$!
	started $daemon
	view-probe wait-view view || fail "mount"
	found=$(draft-probe verify view/draft/mem log) || fail "round $1: what was acknowledged is gone"
	[ "$found" -ge "$newest" ] || fail "round $1: an older state"
	newest=$found
	next_random 1000000
	draft-probe write view/draft/mem "$random" "$newest" >acked 2>/dev/null &
	writer=$!
	started $writer
	exec 5<acked
	# so many syncs, and then at any moment of the next
	next_random 12
	left=$((random + 1))
	while [ $left -gt 0 ]; do
		read -r line <&5 || fail "round $1: the writer ended"
		echo "$line" >>log
		left=$((left - 1))
	done
	dawdle 4000
	kill -KILL $daemon
	wait $daemon 2>/dev/null
	ended $daemon
	cat <&5 >>log
	exec 5<&-
	wait $writer 2>/dev/null
	ended $writer
	umount view 2>/dev/null || umount -l view || fail "umount"
	pagoda -q check || fail "round $1: check"
}

i=0
while [ $i -lt $rounds ]; do
	round $i
	i=$((i + 1))
done
acknowledged=$(wc -l <log)
say "$acknowledged syncs were acknowledged"
[ "$acknowledged" -ge $((rounds * 2)) ] || fail "too few syncs to mean anything"
mount_store store view
draft-probe verify view/draft/mem log >/dev/null || fail "verify"
cp view/draft/mem last
pagoda -q seal draft || fail "seal"
draft-probe verify view/draft/mem log >/dev/null || fail "verify after seal"
same view/draft/mem last
same view/base/mem base.img
pagoda -q check --read-data || fail "check --read-data"
