#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A guest is restored from the mounted view through the handler, again and again,
# while its balloon gives pages back: it goes on with the sum it had, and all
# memory it has not written is as in the image. ROUNDS (10) may be set.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/vmm/functions.sh"
requires_fuse
requires_userfaultfd
requires_kvm
[ -x "$handler" ] || skip "needs pagoda-handler"
rounds=${ROUNDS:-10}

run_vmm run.out run --memory 8M --split 2M --beats 3 --at '3 snapshot mem vmstate'
sum=$(sums_of run.out)
pagoda -s store init || fail "init"
pagoda -s store import guest mem --vmstate vmstate >/dev/null || fail "import"
mount_store store view

say "by a private map of the view"
run_vmm again.out restore --vmstate view/guest/vmstate --mem-file view/guest/mem \
	--beats 2 --verify mem --at '1 balloon 100'
expect_beats again.out "$sum" 4 5

say "$rounds times by the handler"
start_handler socket view/guest
round=1
while [ "$round" -le "$rounds" ]; do
	most=$((round * 97 % 500))
	run_vmm again.out restore --vmstate view/guest/vmstate --uffd socket --beats 4 --verify mem \
		--at "1 balloon $most" --at "2 balloon $((most / 3))" --at "3 balloon $most"
	expect_beats again.out "$sum" 4 5 6 7
	expect_text "removed $most" again.out
	round=$((round + 1))
done

say "snapshots of a machine that the handler serves"
cp mem merged
run_vmm again.out restore --vmstate view/guest/vmstate --uffd socket --beats 2 \
	--at '1 balloon 200' --at '2 diff merged vmstate.diff' --at '2 snapshot full vmstate.full'
same full merged
run_vmm again.out restore --vmstate vmstate.diff --mem-file merged --beats 1 --verify full
expect_beats again.out "$sum" 6
