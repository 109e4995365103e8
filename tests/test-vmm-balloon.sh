#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Pages given back read as zero, whatever memory is made of; taken again, they are
# read from the disk as before.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/vmm/functions.sh"
requires_kvm

# 4096 pages; the last quarter of those from page 8 on is spare
first=$((4096 - (4096 - 8) / 4))

# zero_pages FILE FROM COUNT
zero_pages() {
	dd if="$1" bs=4096 skip="$2" count="$3" status=none | cmp -s -n $(($3 * 4096)) - /dev/zero
}

run_vmm run.out run --memory 16M --data 100 --beats 4 \
	--at '1 snapshot before v1' \
	--at '1 balloon 300' \
	--at '2 snapshot inflated v2' \
	--at '3 balloon 0' \
	--at '4 snapshot after v4'
sum=$(sums_of run.out)
expect_beats run.out "$sum" 1 2 3 4
zero_pages inflated $first 300 || fail "the pages given back are not zero"
page inflated $((first - 1)) | cmp -s -n 4096 - /dev/zero && fail "one page too many is zero"
page inflated $((first + 300)) | cmp -s -n 4096 - /dev/zero && fail "one page too many is zero"
dd if=before of=spare1 bs=4096 skip=$first status=none
dd if=after of=spare2 bs=4096 skip=$first status=none
same spare1 spare2

say "the guest sees a page it gave back that is not zero"
cp inflated spoilt
printf x | dd of=spoilt bs=1 seek=$(((first + 299) * 4096)) conv=notrunc status=none
expect 3 "$vmm" restore --vmstate v2 --mem-file spoilt --beats 1 2>spoilt.err
expect_text "the guest gave page $((first + 299)) back and it is not zero" spoilt.err

say "memory that is a private map of a file"
cp before untouched
run_vmm again.out restore --vmstate v1 --mem-file before --beats 3 --verify before \
	--at '1 balloon 1000' --at '2 balloon 200' --at '3 snapshot later v5'
expect_beats again.out "$sum" 2 3 4
# of the 300 pages that the snapshot's balloon wanted and the 700 after, 800 came back
expect_text 'written 898 removed 200' again.out
zero_pages later $first 200 || fail "the pages given back are not zero"
same untouched before

say "more than it may have"
"$vmm" run --memory 16M --beats 1 --at '1 balloon 1023' >many.out 2>many.err && fail "1023 pages"
expect_text 'the balloon cannot have 1023 pages, 1022 at most' many.err
exit 0
