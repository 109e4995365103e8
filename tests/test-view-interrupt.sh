#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Readers are interrupted, again and again: each ends, and the daemon keeps no thread,
# no handle and no lease of theirs.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH

rounds=40
[ -z "${PAGODA_LONG:-}" ] || rounds=1000
head -c 24M /dev/urandom >image
pagoda -q -s store init && pagoda -q -s store import a image || fail "import"
mount_store store mnt
same mnt/a/mem image
pid=$(view-probe pid mnt)
fds=$(ls "/proc/$pid/fd" | wc -l)
threads=$(ls "/proc/$pid/task" | wc -l)

interrupted=0
i=0
while [ $i -lt $rounds ]; do
	echo 1 >/proc/sys/vm/drop_caches 2>/dev/null || skip "cannot drop the page cache"
	timeout -s INT -k 20 "0.00$((i % 10 + 1))" cat mnt/a/mem >/dev/null
	got=$?
	case $got in
	0) ;;
	124) interrupted=$((interrupted + 1)) ;;
	*) fail "cat ended with $got" ;;
	esac
	i=$((i + 1))
done
say "$interrupted of $rounds were interrupted"
[ $interrupted -ge $((rounds / 4)) ] || fail "only $interrupted readers were interrupted"

same mnt/a/mem image
# rm waits up to 2 s for handles to go: there is none but what was left behind
expect 0 pagoda -q -s store rm a
[ "$(ls "/proc/$pid/task" | wc -l)" -eq "$threads" ] || fail "threads: $(ls "/proc/$pid/task" | wc -l)"
now=$(ls "/proc/$pid/fd" | wc -l)
[ "$now" -le "$fds" ] || fail "$now descriptors, $fds before"
