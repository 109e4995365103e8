#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The wall clock jumps ten years ahead and back all the while: only the times that people
# read are wrong. Waits for a lock end, and the view is what it is.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH
jump=$top_builddir/tests/clock-jump.so

# The library does what it says.
first=$(LD_PRELOAD=$jump date +%Y)
now=$(date +%Y)
[ "$first" -gt $((now + 8)) ] || [ "$first" -lt $((now - 8)) ] || fail "the clock does not jump"

LD_PRELOAD=$jump
export LD_PRELOAD
head -c 2M /dev/urandom >one
cp one two
printf changed | dd of=two bs=1 seek=70000 conv=notrunc 2>/dev/null
pagoda -q -s store init && pagoda -q -s store import a one &&
	pagoda -q -s store import b two --parent a || fail "import"
pagoda -q -s store note a noted && pagoda -q -s store rename b c || fail "note, rename"
pagoda -s store ls >ls || fail ls
grep -q noted ls || fail "ls: $(cat ls)"
mount_store store mnt
same mnt/a/mem one
same mnt/c/mem two

say "who waits for a lease of an open snapshot gives up after 2 s, not ten years"
exec 5<mnt/c/mem
begin=$(cut -d. -f1 /proc/uptime)
expect 5 timeout 60 "$top_builddir/pagoda" -s store rm c 2>err
took=$(($(cut -d. -f1 /proc/uptime) - begin))
[ $took -ge 1 ] || fail "it gave up at once"
exec 5<&-
expect 0 pagoda -q -s store rm c
pagoda -q -s store gc || fail gc
pagoda -q -s store check --read-data || fail check
pagoda -q umount mnt || fail umount
unset LD_PRELOAD
pagoda -s store export a - | cmp - one || fail "a differs"
