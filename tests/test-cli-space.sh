#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A full disk and a limit on the size of files: the import fails with its code, the
# store is as it was, and the space is given back.
. "${srcdir:-.}/tests/functions.sh"
requires_root

head -c 8388608 /dev/urandom >large
head -c 1048576 /dev/urandom >small

used() { df -k --output=used disk | tail -n 1; }

mkdir disk
mounted "$work/disk"
mount -t tmpfs -o size=6m tmpfs disk || skip "cannot mount a tmpfs"
pagoda -q -s disk/store init || fail init
pagoda -q -s disk/store import small small || fail "import of what fits"
before=$(used)
expect 8 pagoda -s disk/store import large large 2>err
expect_text "import large: " err
expect_text "No space left on device" err
expect 4 pagoda -s disk/store info large 2>/dev/null
pagoda -q -s disk/store check --read-data || fail "check after a full disk"
after=$(used)
# some pages of the -wal may stay
[ "$after" -le $((before + 1024)) ] || fail "$before KiB were used, now $after"
pagoda -s disk/store export small - | cmp - small || fail "the other snapshot was lost"

# export to the full disk leaves no file
pagoda -q -s store init || fail init
pagoda -q -s store import large large || fail "import of the large one"
expect 8 pagoda -s store export large disk/copy 2>err
expect_text "No space left on device" err
[ "$(find disk -name '*copy*' | wc -l)" -eq 0 ] || fail "a part of a file is left over"
[ "$(used)" -le "$after" ] || fail "export has not given the space back"

# what fits still goes in
head -c 524288 /dev/urandom >tiny
pagoda -q -s disk/store import tiny tiny || fail "an import after the failed one"
pagoda -s disk/store export tiny - | cmp - tiny || fail "tiny differs"

# a limit on the size of files is refused input, not death by SIGXFSZ
pagoda -q -s limited init || fail init
(
	ulimit -f 4096 # 2 MiB
	expect 6 pagoda -s limited import large large 2>err
) || exit 1
expect_text "File too large" err
expect 4 pagoda -s limited info large 2>/dev/null
pagoda -q -s limited check --read-data || fail "check after a file size limit"
(
	ulimit -f 4096
	expect 6 pagoda -s store export large copy 2>err
) || exit 1
[ "$(find . -maxdepth 1 -name '*copy*' | wc -l)" -eq 0 ] || fail "a part of a file is left over"
pagoda -q -s limited import large large || fail "an import without the limit"

# a full disk is no dead end: what gives space back finds room to do so
pagoda -q -s disk/store rm tiny || fail "rm of tiny"
for i in 1 2 3 4; do
	head -c 524288 /dev/urandom >"part-$i"
	pagoda -q -s disk/store import "part-$i" "part-$i" || break
done
pagoda -s disk/store info part-2 >/dev/null || fail "the disk is too small for this test"
{ head -c 40960 part-1 && head -c 40960 small; } >mixed
pagoda -q -s disk/store import mixed mixed || fail "import of what shares most"
pagoda -q -s disk/store rm part-1 || fail "rm of part-1"
head -c 6291456 /dev/zero >disk/fill 2>/dev/null # until there is no room
[ "$(df -k --output=avail disk | tail -n 1)" -eq 0 ] || fail "the disk is not full"
before=$(du -sk disk/store/packs | cut -f 1)
pagoda -q -s disk/store rm part-2 || fail "rm on a full disk"
pagoda -s disk/store gc >out 2>err
got=$?
[ $got -eq 0 ] || [ $got -eq 8 ] || fail "gc on a full disk: exit $got: $(cat err)"
after=$(du -sk disk/store/packs | cut -f 1)
[ $((before - after)) -ge 500 ] || fail "$before KiB of packs were there, now $after"
pagoda -q -s disk/store check --read-data || fail "check after gc on a full disk"
pagoda -s disk/store export mixed - | cmp - mixed || fail "mixed is damaged"
# packs that want rewriting wait for room, and say so
rm disk/fill
pagoda -q -s disk/store gc || fail "gc with room"
pagoda -s disk/store export mixed - | cmp - mixed || fail "mixed is damaged"
pagoda -q -s disk/store check --read-data || fail "check"
[ "$(find disk/store/reserve -size +1000k | wc -l)" -eq 1 ] || fail "the reserve was not made again"
