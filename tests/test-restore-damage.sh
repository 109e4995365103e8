#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One flipped byte of a pack: the page it is in cannot be read, everything else can,
# and a machine that needs that page is killed before it runs on wrong memory.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_userfaultfd
requires_program od

# 64 pages of noise: each is stored plain, in the order of the image
head -c 262144 /dev/urandom >image
pagoda -s store init >/dev/null || fail "init"
pagoda -s store import vm image >/dev/null || fail "import"
# the pack begins with 64 bytes of header; byte 100 of page 40
at=$((64 + 40 * 4096 + 100))
byte=$(od -An -tu1 -j $at -N 1 store/packs/1.pack)
printf "\\$(printf %03o $(((byte + 1) % 256)))" |
	dd of=store/packs/1.pack bs=1 seek=$at conv=notrunc 2>/dev/null || fail "dd"

expect 3 pagoda -s store check --read-data >found
expect_text 'vm: page 40 ' found
expect_text 'pack 1 ' found
[ "$(grep -c '^vm: ' found)" = 1 ] || fail "more than one page is named: $(cat found)"

mount_store store view
dd if=view/vm/mem of=page bs=4096 skip=40 count=1 2>dd.err && fail "the damaged page was read"
expect_text 'Input/output error' dd.err
# the others are fine, page by page: a read of more would meet the damaged one
for page in 0 39 41 63; do
	dd if=view/vm/mem of=page bs=4096 skip=$page count=1 2>/dev/null || fail "page $page"
	dd if=image bs=4096 skip=$page count=1 2>/dev/null | cmp - page || fail "page $page differs"
done

start_handler socket view/vm --once 2>log
"$client" -i image -s socket -n 0 --all
code=$?
[ $code -eq 137 ] || fail "the machine ended with $code; it had to be killed"
wait "$handler_pid" && fail "the handler calls that a success"
ended "$handler_pid"
expect_text source-failed log

# a machine that needs only the other pages would live: the same memory, undamaged
printf "\\$(printf %03o "$byte")" |
	dd of=store/packs/1.pack bs=1 seek=$at conv=notrunc 2>/dev/null || fail "dd"
start_handler socket view/vm --once 2>log
"$client" -i image -s socket -n 0 --all || fail "the mended image"
wait "$handler_pid" || fail "the handler ended with $?"
ended "$handler_pid"
expect 0 pagoda -s store check --read-data >/dev/null
pagoda umount view || fail "umount"

# A pack that has lost its end: what is before it is fine, short or not, and a machine
# that needs what is behind it is killed.
truncate -s $((64 + 40 * 4096 + 100)) store/packs/1.pack || fail "truncate"
expect 3 pagoda -s store check --read-data >found
expect_text 'vm: pages 40 to 63 ' found
mount_store store view
dd if=view/vm/mem of=page bs=4096 count=1 2>/dev/null || fail "page 0 of a shorter pack"
dd if=image bs=4096 count=1 2>/dev/null | cmp - page || fail "page 0 of a shorter pack differs"
for page in 40 41 63; do
	dd if=view/vm/mem of=page bs=4096 skip=$page count=1 2>dd.err && fail "page $page was read"
	expect_text 'Input/output error' dd.err
done
start_handler socket view/vm --once 2>log
"$client" -i image -s socket -n 0 --all
code=$?
[ $code -eq 137 ] || fail "the machine ended with $code; it had to be killed"
wait "$handler_pid" && fail "the handler calls that a success"
ended "$handler_pid"
expect_text source-failed log
