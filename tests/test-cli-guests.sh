#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Memory of a real guest, and of the same guest 15 s later: it comes back whole, and
# the store stays as small as promised, measured against `lz4 -1` of the image.
. "${srcdir:-.}/tests/functions.sh"
requires_image guest-b
requires_program lz4
PATH=$top_builddir/tests:$PATH

PAGODA_STORE=$work/store
export PAGODA_STORE
bytes_used() { du -sB1 store | cut -f1; }
lz4_size() { lz4 -1 -q -c "$1" | wc -c; }

pagoda -q init || fail init
pagoda -q import guest-a guest-a.mem || fail "import of guest-a"
first=$(bytes_used)
lz4_a=$(lz4_size guest-a.mem)
say "guest-a: $first bytes, $((first * 1000 / lz4_a)) thousandths of lz4 -1"
[ $((first * 100)) -le $((lz4_a * 112)) ] || fail "guest-a: more than 1.12 of lz4 -1 ($lz4_a)"

pagoda -q import guest-b guest-b.mem || fail "import of guest-b"
second=$(($(bytes_used) - first))
lz4_b=$(lz4_size guest-b.mem)
say "guest-b adds $second bytes, $((second * 1000 / lz4_b)) thousandths of lz4 -1"
[ $((second * 100)) -le $((lz4_b * 42)) ] || fail "guest-b: more than 0.42 of lz4 -1 ($lz4_b)"

pagoda check --read-data || fail "check --read-data"
for guest in guest-a guest-b; do
	pagoda -q export $guest copy || fail "export of $guest"
	same copy $guest.mem
	# zero pages are holes again: nothing but the pages of data takes space
	data=$(pagoda --json info $guest | json-get - snapshot data_pages)
	[ "$(du -k copy | cut -f1)" -le $((data * 4 + 64)) ] ||
		fail "$(du -k copy | cut -f1) KiB for $data pages of data"
done
