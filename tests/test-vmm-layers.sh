#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A machine's own diff becomes a layer: base, and two diffs that it wrote while its
# balloon took pages and gave some back; restored from the view through the handler it
# goes on where it was, and all its memory is that of a full snapshot.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/vmm/functions.sh"
requires_fuse
requires_userfaultfd
requires_kvm
[ -x "$handler" ] || skip "needs pagoda-handler"
PATH=$top_builddir/tests:$PATH

run_vmm run.out run --memory 24M --split 8M --beats 8 \
	--at '2 snapshot base vmstate' \
	--at '3 balloon 700' \
	--at '4 balloon 500' \
	--at '5 diff diff-1 vmstate-1' \
	--at '5 snapshot full-1 vmstate-full' \
	--at '6 balloon 900' \
	--at '8 diff diff-2 vmstate-2' \
	--at '8 snapshot full-2 vmstate-full'
sum=$(sums_of run.out)
cmp -s base full-1 && fail "nothing has changed"

pagoda -q -s store init || fail "init"
pagoda -q -s store import base base --vmstate vmstate || fail "import base"
pagoda -q -s store import one diff-1 --parent base --diff --vmstate vmstate-1 || fail "import one"
pagoda -q -s store import two diff-2 --parent one --diff --vmstate vmstate-2 || fail "import two"
pagoda -s store diff one two | tail -n 1

mount_store store view
same view/one/mem full-1
same view/two/mem full-2
for n in 1 2; do
	name=$([ $n = 1 ] && echo one || echo two)
	same view/$name/diff diff-$n
	diff-file holes view/$name/diff >holes
	diff-file holes diff-$n | cmp - holes || fail "$name: other holes than the machine wrote"
	# the balloon's pages are zeros that the diff says, not bytes of the parent
	[ "$(pagoda -s store --json info $name | json-get - snapshot layer_zero_pages)" -gt 0 ] ||
		fail "no zero pages in the layer $name"
done

say "restored from the second layer, by the handler"
start_handler socket view/two
run_vmm again.out restore --vmstate view/two/vmstate --uffd socket --beats 3 --verify full-2 \
	--at '1 balloon 300'
expect_beats again.out "$sum" 9 10 11

say "and from the first, by a private map"
run_vmm again.out restore --vmstate view/one/vmstate --mem-file view/one/mem --beats 2 --verify full-1
expect_beats again.out "$sum" 6 7
kill -TERM "$handler_pid"
wait "$handler_pid"
ended "$handler_pid"
pagoda umount view || fail "umount"
pagoda -q -s store check --read-data || fail "check"
