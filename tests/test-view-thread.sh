#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A thread that cannot go on ends the view, and no dead mount is left behind.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_program strace
probe=$top_builddir/tests/view-probe

pagoda -s store init || fail "init"
mkdir view
mounted "$work/view"
# each thread's tenth read of a request fails
strace -f -qq -o trace -P /dev/fuse -e trace=read -e inject=read:error=EIO:when=10 \
	"$pagodafs" -f store view 2>log &
daemon=$!
started $daemon
"$probe" wait-view view || {
	cat log >&2
	skip "strace cannot trace here"
}
goes_on() { kill -0 $daemon && ls view; }
eventually not goes_on >/dev/null 2>&1 || fail "it goes on"
expect 1 wait $daemon
ended $daemon
expect_text "the view on $work/view ends: Input/output error" log
grep -F " $work/view " /proc/self/mountinfo >&2 && fail "it is still mounted"
exit 0
