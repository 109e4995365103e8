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
