#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Layers of a real guest: the diff of guest-b over guest-a is what a rebase tool wants,
# and 11 snapshots of one machine take a fraction of what one squashfs of them takes.
. "${srcdir:-.}/tests/functions.sh"
requires_image guest-b
PATH=$top_builddir/tests:$PATH

PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail init
info() { pagoda --json info "$1" | json-get - snapshot "$2"; }

say "rebase parity"
pagoda -q import a guest-a.mem || fail "import a"
pagoda -q import b guest-b.mem --parent a || fail "import b"
pagoda -q export --diff b diff || fail "export --diff"
cp guest-a.mem merged
chmod u+w merged
diff-file merge diff merged || fail merge
same merged guest-b.mem
diff-file make guest-a.mem guest-b.mem made
same diff made
diff-file holes diff >holes
diff-file holes made | cmp - holes || fail "the diff has other holes than those that differ"
pagoda -q import back diff --parent a --diff || fail "import --diff"
for field in digest layer_digest layer_data_pages layer_zero_pages; do
	[ "$(info back $field)" = "$(info b $field)" ] || fail "$field of what came back differs"
done
[ "$(info back stored_pages)" = 0 ] || fail "what was there was stored again"
pagoda export back - | cmp - guest-b.mem || fail "other bytes came back"
pagoda --json diff a b >out.json || fail "diff a b"
[ "$(json-get out.json diff changed_pages)" -gt 0 ] || fail "no page has changed"
differing=$(awk '{ n += $2 } END { print n }' holes)
found=0
for field in changed_pages filled_pages zeroed_pages; do
	found=$((found + $(json-get out.json diff $field)))
done
[ "$found" = "$differing" ] || fail "diff finds $found pages, $differing differ"
rm merged diff made

say "11 snapshots"
PAGODA_STORE=$work/eleven
pagoda -q init || fail init
mkdir images
cp --sparse=always guest-a.mem images/0
chmod u+w images/0
pagoda -q import s0 images/0 || fail "import s0"
n=1
while [ $n -le 10 ]; do
	cp --sparse=always images/$((n - 1)) images/$n
	diff-file age images/$n 5 $n || fail "age"
	pagoda -q import s$n images/$n --parent s$((n - 1)) || fail "import s$n"
	n=$((n + 1))
done
step=5
[ -z "${PAGODA_LONG:-}" ] || step=1
n=0
while [ $n -le 10 ]; do
	pagoda export s$n - | cmp - images/$n || fail "s$n has other bytes"
	n=$((n + step))
done
pagoda -q check --read-data || fail check
stored=$(du -k --apparent-size eleven | tail -n 1 | cut -f1)
command -v mksquashfs >/dev/null || skip "needs mksquashfs to compare the size with: ours is $stored KiB"
mksquashfs images squashfs -comp lz4 -quiet -no-progress >/dev/null || fail mksquashfs
squashed=$(($(stat -c %s squashfs) / 1024))
say "store $stored KiB, squashfs $squashed KiB: $((stored * 1000 / squashed)) thousandths"
[ $((stored * 1000)) -le $((squashed * 180)) ] || fail "more than 0.18 of a squashfs"
