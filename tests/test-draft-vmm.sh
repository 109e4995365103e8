#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A monitor writes a diff snapshot straight into a draft, the way Firecracker does it
# (opened without O_TRUNC, runs of pages in place, fsync): the layer holds exactly the
# pages it wrote. Sealed, a machine is restored from it through the handler.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/vmm/functions.sh"
requires_fuse
requires_userfaultfd
requires_kvm

PAGODA_STORE=$work/store
export PAGODA_STORE
run_vmm run.out run --memory 24M --split 8M --beats 2 --at '2 snapshot base vmstate'
sum=$(sums_of run.out)
pagoda -q init || fail "init"
pagoda -q import base base --vmstate vmstate || fail "import"
pagoda -q fork base draft || fail "fork"
mount_store store view
same view/draft/mem base
same view/draft/vmstate vmstate

# the same machine twice: what it changes is the same
run_vmm plain.out restore --vmstate vmstate --mem-file base --beats 3 \
	--at '3 diff plain.diff plain.state'
start_handler socket view/base --once
run_vmm draft.out restore --vmstate view/base/vmstate --uffd socket --beats 3 \
	--at '3 diff view/draft/mem view/draft/vmstate'
wait "$handler_pid" || fail "the handler ended with $?"
ended "$handler_pid"

same view/draft/vmstate plain.state
same view/draft/diff plain.diff
[ "$(stat -c %b view/draft/diff)" = "$(stat -c %b plain.diff)" ] ||
	fail "the layer has $(stat -c %b view/draft/diff) blocks, the diff $(stat -c %b plain.diff)"
cp base merged
run_vmm full.out restore --vmstate vmstate --mem-file base --beats 3 --at '3 snapshot full full.state'
same view/draft/mem full
same view/base/mem base
same view/base/vmstate vmstate

pagoda -q seal draft || fail "seal"
same view/draft/mem full
same view/draft/diff plain.diff
start_handler socket view/draft --once
run_vmm again.out restore --vmstate view/draft/vmstate --uffd socket --beats 2 --verify full
wait "$handler_pid" || fail "the handler ended with $?"
ended "$handler_pid"
expect_beats again.out "$sum" 6 7
pagoda -q check --read-data || fail "check"
# a monitor that wants to make its file is told at once
(set -C && echo x >view/draft/memory-ranges) 2>message && fail "a file was made in the view"
expect_text "Operation not permitted" message
