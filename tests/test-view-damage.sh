#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A flipped byte in a pack: that page is EIO and SIGBUS, the message names it,
# every other page is fine, and a thousand reads make one line. A page row that
# names another page, however valid: the snapshot cannot be opened. A row of a
# snapshot that cannot be read: the others are listed, and a message says it.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe
sql=$top_builddir/tests/index-sql

# 64 pages that do not compress, so page N is at a place that can be found
head -c 262144 /dev/urandom >one.img
pagoda -s store init || fail "init"
pagoda -s store import one one.img >/dev/null || fail "import"
page=37
pack=store/packs/1.pack
at=$(($(stat -c %s $pack) - (64 - page) * 4096 + 100))
dd if=$pack of=plain bs=1 skip=$((at - 100)) count=4096 status=none
dd if=one.img of=want bs=4096 skip=$page count=1 status=none
cmp -s plain want || fail "page $page is elsewhere: this test does not fit the pack"
byte=$(od -An -tu1 -j 100 -N 1 want)
chmod u+w $pack
printf "\\$(printf %o $((byte ^ 1)))" | dd of=$pack bs=1 seek=$at conv=notrunc status=none

mkdir view
mounted "$work/view"
"$pagodafs" store view 2>log || fail "mount"
"$probe" bad-page view/one/mem $page || fail "mem"
"$probe" bad-page view/one/diff $page || fail "diff"
cmp one.img view/one/mem >/dev/null 2>message && fail "the damage was not seen"
expect_text "Input/output error" message
for i in 1 2 3 4 5 6 7 8 9 10; do
	dd if=view/one/mem of=/dev/null bs=4096 skip=$page count=1 status=none 2>/dev/null &&
		fail "a damaged page was read"
done
expect_text "page $page" log
expect_text "one/mem" log
[ "$(grep -c 'one/mem' log)" = 1 ] || {
	cat log >&2
	fail "not one line for one page"
}
pagoda umount view || fail "umount"

say "a snapshot that cannot be listed"
for name in after last; do
	pagoda -s store import $name one.img >/dev/null || fail "import"
done
"$pagodafs" store view 2>log || fail "mount"
[ "$(ls view | tr '\n' ' ')" = "after last one " ] || fail "not all are listed: $(ls view)"
"$sql" store/index.db "UPDATE snapshot SET name = 'no/name' WHERE name = 'after'" || fail "index-sql"
for i in 1 2 3; do
	[ "$(ls view | tr '\n' ' ')" = "last one " ] || fail "listed: $(ls view)"
done
same one.img view/last/mem
[ "$(grep -c 'listing of the root' log)" = 1 ] || {
	cat log >&2
	fail "not one line for one snapshot"
}
expect_text "listing of the root: the name of snapshot 2 is none" log
pagoda umount view || fail "umount"
"$sql" store/index.db "UPDATE snapshot SET name = 'after' WHERE name = 'no/name'" || fail "index-sql"

say "the right page, not only a right page"
head -c 262144 /dev/urandom >two.img
head -c 262144 /dev/urandom >three.img
for name in two three; do
	pagoda -s store import $name $name.img >/dev/null || fail "import"
done
# a page of two becomes its neighbour, hash and all
"$top_builddir/tests/index-sql" store/index.db "
	UPDATE page SET (hash, pack, offset, length) =
		(SELECT hash, pack, offset, length FROM page AS p WHERE p.id = page.id + 1)
	WHERE id = (SELECT page + 5 FROM extent JOIN snapshot ON snapshot.id = extent.snapshot
		WHERE name = 'two' LIMIT 1)" || fail "SQL"
"$pagodafs" store view 2>log || fail "mount"
for file in mem diff; do
	cat view/two/$file >/dev/null 2>message && fail "two/$file was opened"
	expect_text "Input/output error" message
done
expect_text "two" log
same three.img view/three/mem
