#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A write is one request: the kernel does not ask each time for a capability of the file.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_program strace
probe=$top_builddir/tests/view-probe

# requests OPCODE: how many of it the daemon has read by now
requests() { grep -c "read.*\"\\\\x..\\\\x..\\\\x..\\\\x..\\\\x$1\\\\x00" trace; }

truncate -s 1M image
pagoda -s store init || fail "init"
pagoda -q -s store import base image || fail "import"
pagoda -q -s store fork base draft || fail "fork"
mkdir view
mounted "$work/view"
strace -f -qq -xx -s 8 -o trace -P /dev/fuse -e trace=read -e signal=none \
	"$pagodafs" -f store view 2>log &
daemon=$!
started $daemon
"$probe" wait-view view || {
	cat log >&2
	skip "strace cannot trace here"
}
dd if=/dev/urandom of=view/draft/mem bs=4k count=200 conv=notrunc status=none || fail "dd"
umount view
expect 0 wait $daemon
ended $daemon
writes=$(requests 10)
[ "$writes" -eq 200 ] || fail "$writes requests to write"
# the first write asks, and what has made the kernel forget the answer
asked=$(requests 16)
[ "$asked" -le 5 ] || fail "$asked questions for attributes"
exit 0
