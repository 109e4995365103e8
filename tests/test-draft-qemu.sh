#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A real Linux guest runs on a draft: every TICK in its memory is patched to TOCK
# through the mount with grep and dd, and QEMU resumes it with its memory shared:
# it prints TOCK, what it writes goes into the draft, and the parent still has TICK.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/qemu-functions.sh"
requires_fuse
requires_guest

PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail "init"
pagoda -q import b guest-b.mem --vmstate state || fail "import"
pagoda -q fork b patched || fail "fork"
mount_store store view
same view/patched/vmstate state

grep -abo 'TICK ' view/patched/mem | cut -d: -f1 >places
[ "$(wc -l <places)" = 21 ] || fail "TICK is there $(wc -l <places) times"
while read -r place; do
	printf 'TOCK ' | dd of=view/patched/mem bs=1 seek="$place" conv=notrunc status=none ||
		fail "dd"
done <places
[ "$(grep -abo 'TOCK ' view/patched/mem | cut -d: -f1)" = "$(cat places)" ] || fail "not every TICK is a TOCK"
cp guest-b.mem patched.mem
while read -r place; do
	printf 'TOCK ' | dd of=patched.mem bs=1 seek="$place" conv=notrunc status=none || exit 99
done <places
same view/patched/mem patched.mem
same view/b/mem guest-b.mem
pages=$(while read -r place; do echo $((place / 4096)); done <places | sort -un | wc -l)
[ "$(stat -c %b view/patched/diff)" = $((pages * 8)) ] ||
	fail "$pages pages were patched, the diff has $(stat -c %b view/patched/diff) blocks"

resume_guest view/patched/mem on view/patched/vmstate 'T[IO]CK'
expect 5 pagoda seal patched 2>message
expect_text "open for writing by pagodafs" message
stop_qemu
[ "$(grep -c 'TOCK [0-9]* 109091' ticks)" = 3 ] || fail "the guest does not print TOCK"
sync view/patched/mem
cmp -s view/patched/mem patched.mem && fail "the guest has run and its memory is as before"
same view/b/mem guest-b.mem
cp view/patched/mem after
pagoda umount view || fail "umount"
pagoda -q export patched exported || fail "export"
same exported after
pagoda -q seal patched || fail "seal"
pagoda -q check --read-data || fail "check"
