#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How a view ends while a draft is written, who may write, and two who write at once.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH
PAGODA_STORE=$work/store
export PAGODA_STORE

head -c 2M /dev/urandom >base.img
head -c 1M /dev/urandom >patch
pagoda -q init || fail "init"
pagoda -q import base base.img || fail "import"
pagoda -q fork base draft || fail "fork"
cp base.img wanted
mkdir view
mounted "$work/view"

# written N: writes what N says into the draft through descriptor 8, and into the copy
written() {
	dd if=patch bs=4096 skip="$1" count=20 status=none >&8 || fail "write"
	dd if=patch of=wanted bs=4096 skip="$1" seek="$2" count=20 conv=notrunc status=none || exit 99
}

place=0
for end in "umount -l view" "kill -TERM" "kill -INT"; do
	say "$end, with a writer"
	"$pagodafs" store view 2>log || fail "mount"
	daemon=$(view-probe pid view) || fail "no pid"
	exec 8<>view/draft/mem
	dd bs=4096 seek=$place count=0 status=none >&8 || fail "seek"
	written 0 $place
	case $end in
	umount*) $end || fail "umount -l" ;;
	*) $end "$daemon" || fail "kill" ;;
	esac
	# it is served until the last file is closed
	written 100 $((place + 20))
	expect 5 pagoda seal draft 2>/dev/null
	exec 8>&-
	view-probe wait "$daemon" || fail "the daemon does not end"
	[ ! -s log ] || fail "messages: $(cat log)"
	pagoda export draft out >/dev/null || fail "export"
	same out wanted
	pagoda -q check || fail "check"
	place=$((place + 60))
done

say "two writers of the same pages"
mount_store store view
tr '\0-\377' a <patch >letters.a
tr '\0-\377' b <patch >letters.b
for letter in a b; do
	(
		i=0
		while [ $i -lt 20 ]; do
			dd if=letters.$letter of=view/draft/mem bs=64k conv=notrunc status=none || exit 1
			i=$((i + 1))
		done
	) &
	started $!
	eval "writer_$letter=$!"
done
# shellcheck disable=SC2154 # set by eval
wait "$writer_a" || fail "a writer failed"
# shellcheck disable=SC2154
wait "$writer_b" || fail "a writer failed"
ended "$writer_a"
ended "$writer_b"
page=0
while [ $page -lt 256 ]; do
	kinds=$(dd if=view/draft/mem bs=4096 skip=$page count=1 status=none | fold -w 1 | sort -u | wc -l)
	[ "$kinds" = 1 ] || fail "page $page is torn"
	page=$((page + 17))
done
pagoda umount view || fail "umount"

say "others"
command -v setpriv >/dev/null || skip "the rest needs setpriv"
chmod 755 "$work"
mount_store store view -o allow_other
setpriv --reuid 65534 --regid 65534 --clear-groups sh -c ': <view/draft/mem' 2>message &&
	fail "another user reads a draft"
expect_text "Permission denied" message
setpriv --reuid 65534 --regid 65534 --clear-groups sh -c ': >>view/draft/mem' 2>message &&
	fail "another user writes a draft"
expect_text "Permission denied" message
pagoda umount view || fail "umount"
mount_store store view -o ro
(: >>view/draft/mem) 2>message && fail "a view that is read-only lets a draft be opened"
expect_text "Read-only file system" message
exit 0
