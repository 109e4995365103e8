#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who may change a draft, and when: one mount at a time, no seal and no rm while it is
# open, and what another mount changed is seen by the next open.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH
PAGODA_STORE=$work/store
export PAGODA_STORE

head -c 1M /dev/urandom >base.img
pagoda -q init || fail "init"
pagoda -q import base base.img || fail "import"
pagoda -q fork base draft || fail "fork"
mkdir one two
mounted "$work/one"
mounted "$work/two"
"$pagodafs" store one 2>log.one || fail "mount"
"$pagodafs" store two 2>log.two || fail "mount"
daemon=$(view-probe pid one) || fail "no pid"

# What is read of a draft, and how many warnings that gives: reads_with N
reads_with() {
	pagoda -q export draft read 2>message || fail "export"
	[ "$(grep -c '^' message)" -eq "$1" ] || fail "export says: $(cat message)"
	pagoda -q diff base draft >/dev/null 2>message || fail "diff"
	[ "$(grep -c '^' message)" -eq "$1" ] || fail "diff says: $(cat message)"
}
reads_with 0

# hold MEM HOW: opens it for writing in a process of its own until release
hold() {
	mkfifo go held 2>/dev/null
	draft-probe hold "$1" "$2" <go >held &
	holder=$!
	started $holder
	exec 6>go 7<held
	read -r _ <&7 || fail "it cannot be held"
}
release() {
	exec 6>&- 7<&-
	wait $holder || fail "the holder failed"
	ended $holder
}

say "while a handle is open, and while only a map is"
for how in fd map; do
	hold one/draft/mem $how
	expect 5 pagoda seal draft 2>message
	expect_text "open for writing by pagodafs on $work/one (pid $daemon)" message
	expect 5 pagoda rm draft 2>message
	expect_text "in use by pagodafs on $work/one (pid $daemon)" message
	reads_with 1
	expect_text "warning: 'draft' is a draft open for writing by pagodafs on $work/one (pid $daemon)" message
	expect_text "close or fsync it first" message
	(echo x >>two/draft/vmstate) 2>message && fail "two mounts write the draft"
	expect_text "busy" message
	expect_text "opening of vmstate of snapshot 2: open for writing by pagodafs on $work/one (pid $daemon)" log.two
	cat two/draft/mem >/dev/null || fail "the other mount cannot read it"
	release
done

say "what one mount changed the other sees when it opens it"
# what was written through a map may be stored after its process has ended
sync one/draft/mem || fail "sync"
same two/draft/mem one/draft/mem
exec 3<two/draft/mem
printf AAAA | dd of=one/draft/mem bs=1 seek=5000 conv=notrunc status=none || fail "dd"
cp one/draft/mem a
cmp -s a base.img && fail "nothing was written"
same two/draft/mem a
exec 3<&-
# the release of the last writer comes after close has returned; it is waited for
printf BBBB | dd of=two/draft/mem bs=1 seek=9000 conv=notrunc status=none || fail "dd in the other"
cp two/draft/mem b
same one/draft/mem b
echo state >one/draft/vmstate || fail "vmstate"
[ "$(cat two/draft/vmstate)" = state ] || fail "vmstate in the other mount"
echo longer state >two/draft/vmstate || fail "vmstate from the other"
[ "$(cat one/draft/vmstate)" = "longer state" ] || fail "vmstate back"
head -c 600000 /dev/urandom >patch
dd if=patch of=one/draft/mem bs=4096 seek=50 conv=notrunc status=none || fail "dd"
cp one/draft/mem c
same two/draft/mem c

say "sealed elsewhere, with readers"
exec 3<one/draft/mem
cat <&3 >/dev/null
pagoda -q seal draft || fail "seal"
reads_with 0
same one/draft/mem c
same two/draft/mem c
(printf x >>one/draft/mem) 2>message && fail "a sealed file was written"
exec 3<&-
expect 6 pagoda seal draft 2>message
expect_text "sealed already" message
expect 5 pagoda rm base 2>message
expect_text "'draft' builds on it" message
pagoda -q rm draft || fail "rm"

say "killed with the lease"
pagoda -q fork base second || fail "fork"
pagoda -q fork base third || fail "fork"
expect 6 pagoda fork second fourth 2>message
expect_text "pagoda seal second first" message
expect 6 pagoda fork base third 2>message
expect 4 pagoda fork none fifth 2>message
hold one/second/mem fd
kill -KILL "$daemon"
view-probe wait "$daemon" || fail "it does not die"
release
umount one || fail "umount"
pagoda -q seal second || fail "seal after the mount died"
pagoda -q rm third || fail "rm of a draft"
[ ! -e two/third ] || fail "a removed draft is still there"
pagoda -q check --read-data || fail "check"
