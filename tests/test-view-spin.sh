#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looking for the next request changes nothing of what is read, burns nothing when there
# is none, and keeps nobody waiting.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_program strace
probe=$top_builddir/tests/view-probe

# How often the threads of a process were switched to, one number.
switches() { cat /proc/"$1"/task/*/status | awk '/ctxt_switches/ { n += $2 } END { print n }'; }

# Fails unless a second comes in which no thread of it runs.
expect_rest() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		before=$(switches "$1")
		sleep 1
		[ "$(switches "$1")" != "$before" ] || return 0
	done
	fail "$2: it does not come to rest"
}

pagoda -s store init || fail "init"
"$probe" image image 2000 1
pagoda -s store import a image >/dev/null || fail "import"

say "read by several at once, then by nobody"
for spin in off auto 1000; do
	mount_store store view -o spin=$spin
	for skip in 0 500 1000 1500; do
		dd if=view/a/mem of=part.$skip bs=4k skip=$skip count=500 status=none &
	done
	wait
	cat part.0 part.500 part.1000 part.1500 >out
	same image out
	for pgno in 7 1999 1000 3 3 12; do
		dd if=view/a/mem iflag=direct bs=4k skip=$pgno count=1 status=none
	done >out
	for pgno in 7 1999 1000 3 3 12; do
		dd if=image bs=4k skip=$pgno count=1 status=none
	done >want
	same want out
	expect_rest "$(view_daemon store)" "spin=$spin"
	pagoda umount view || fail "umount"
done

say "a read that hangs in the store hinders nobody"
mounted "$work/view"
# a pack that is not in the page cache, and a disk that does not answer: the first pread
# of a thread is of the pack's header
strace -f -qq -o trace --seccomp-bpf -P "$work/store/packs/1.pack" -e trace=pread64 \
	-e inject=pread64:delay_enter=60000000:when=2+ \
	"$pagodafs" -f -o spin=1000 store view 2>log &
daemon=$!
started $daemon
"$probe" wait-view view || {
	cat log >&2
	skip "strace cannot trace here"
}
pgno=0
while cmp -s -n 4096 -i $((pgno * 4096)) image /dev/zero; do pgno=$((pgno + 1)); done
# little enough to be answered by who else would look for requests
dd if=view/a/mem of=out iflag=direct bs=4k skip=$pgno count=1 status=none &
reader=$!
started $reader
until grep -q pread64 trace; do kill -0 $reader || fail "it read no pack"; done
for _ in 1 2 3; do
	timeout 20 cat view/a/info.json >out || fail "nobody answers"
	expect_text '"name"' out
done
kill -KILL $daemon
exit 0
