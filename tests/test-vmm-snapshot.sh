#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A machine goes on from its snapshot, and prints what its memory says.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/vmm/functions.sh"
requires_kvm

say "one region"
run_vmm run.out run --memory 16M --seed 5 --beats 4 --at '2 snapshot mem vmstate'
sum=$(sums_of run.out)
[ ${#sum} -eq 16 ] || fail "more than one sum, or none: $(cat run.out)"
expect_beats run.out "$sum" 1 2 3 4
[ "$(stat -c %s mem)" -eq $((16 << 20)) ] || fail "mem has $(stat -c %s mem) bytes"
cp mem before
run_vmm again.out restore --vmstate vmstate --mem-file mem --beats 3 --verify mem
expect_beats again.out "$sum" 3 4 5
# three beats of 32 pages, the parameters and the stack
expect_text 'VERIFIED same 3998 written 98 removed 0' again.out
same before mem

say "another seed, another sum"
run_vmm other.out run --memory 16M --seed 6 --beats 1
[ "$(sums_of other.out)" != "$sum" ] || fail "seeds 5 and 6 have one sum"

say "a string patched in the image"
expect_text 'str "hello from the guest"' again.out
at=$(grep -abo 'hello from the guest' mem | head -n 1 | cut -d: -f1)
[ "$at" -eq 8192 ] || fail "the string is at $at"
printf 'patched\0' | dd of=mem bs=1 seek="$at" conv=notrunc status=none
run_vmm patched.out restore --vmstate vmstate --mem-file mem --beats 1
expect_beats patched.out "$sum" 3
expect_text 'str "patched"' patched.out

say "a byte changed in the data"
printf 'x' | dd of=mem bs=1 seek=$((1000 * 4096 + 2048)) conv=notrunc status=none
run_vmm changed.out restore --vmstate vmstate --mem-file mem --beats 1
[ "$(sums_of changed.out)" != "$sum" ] || fail "the sum did not see the change"
expect 3 "$vmm" restore --vmstate vmstate --mem-file mem --beats 1 --verify before 2>verify.err
expect_text 'page 2 is not as in before' verify.err

say "two regions, an odd size, and a snapshot of what was restored"
run_vmm run.out run --memory $((20 << 20 | 12 << 10)) --split 6M --writes 3000 \
	--beats 2 --at '2 snapshot mem vmstate'
sum=$(sums_of run.out)
run_vmm again.out restore --vmstate vmstate --mem-file mem --beats 2 --verify mem \
	--at '2 snapshot mem2 vmstate2'
expect_beats again.out "$sum" 3 4
run_vmm third.out restore --vmstate vmstate2 --mem-file mem2 --beats 1 --verify mem2
expect_beats third.out "$sum" 5

say "64 MiB where nothing else is asked for"
run_vmm run.out run --beats 1 --at '1 snapshot mem vmstate'
[ "$(stat -c %s mem)" -eq $((64 << 20)) ] || fail "mem has $(stat -c %s mem) bytes"
