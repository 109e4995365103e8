#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A full snapshot with a diff written over it is the later full snapshot.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/vmm/functions.sh"
requires_kvm

# the balloon zeroes pages in between, and gives some of them back: the diff must
# hold these zeros as data
run_vmm run.out run --memory 24M --split 8M --beats 6 \
	--at '2 snapshot base vmstate' \
	--at '2 snapshot merged vmstate' \
	--at '3 balloon 700' \
	--at '4 balloon 500' \
	--at '6 diff merged vmstate.diff' \
	--at '6 snapshot full vmstate.full'
same full merged
same vmstate.full vmstate.diff
cmp -s base merged && fail "nothing has changed"

sum=$(sums_of run.out)
run_vmm again.out restore --vmstate vmstate.diff --mem-file merged --beats 1 --verify full
expect_beats again.out "$sum" 7
# the balloon still has what it had: nothing was read from the disk again
expect_text 'written 34 removed 0' again.out

say "a diff of a restored machine, into a file of its own"
printf 'of another size' >diff
run_vmm again.out restore --vmstate vmstate.full --mem-file full --beats 2 \
	--at '1 diff diff vmstate.diff' \
	--at '2 diff diff2 vmstate.diff'
[ "$(stat -c %s diff)" -eq $((24 << 20)) ] || fail "diff has $(stat -c %s diff) bytes"
# 32 pages of the beat, the parameters and the stack
[ "$(stat -c %b diff)" -eq $((34 * 8)) ] || fail "diff has $(stat -c %b diff) blocks"
[ "$(stat -c %b diff2)" -eq $((34 * 8)) ] || fail "diff2 has $(stat -c %b diff2) blocks"
cmp -s diff diff2 && fail "both diffs have the same pages"
exit 0
