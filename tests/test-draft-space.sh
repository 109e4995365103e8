#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No room for what is written to a draft: fsync and close say so, what was stored
# before stays, what was written is still read, and is stored once there is room.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH

mkdir disk
mounted "$work/disk"
mount -t tmpfs -o size=24M none disk || skip "cannot mount a tmpfs"
PAGODA_STORE=$work/disk/store
export PAGODA_STORE
head -c 4M /dev/urandom >base.img
truncate -s 32M base.img
pagoda -q init || fail "init"
pagoda -q import base base.img || fail "import"
pagoda -q fork base draft || fail "fork"
pagoda -q fork base limited || fail "fork"

say "a full disk"
head -c 8M /dev/zero >disk/filler
mkdir view
mounted "$work/view"
"$pagodafs" disk/store view 2>log || fail "mount"
mkfifo go said
draft-probe full view/draft/mem ENOSPC <go >said &
probe=$!
started $probe
exec 6>go 7<said
read -r stored <&7 || fail "the probe ended"
say "$stored bytes were stored"
[ "$stored" -ge 4194304 ] || fail "hardly anything was stored"
expect_text "No space left" log
cp view/draft/mem written || fail "what was written cannot be read"
pagoda export draft stored.img >/dev/null || fail "export"
cmp -n "$stored" stored.img written || fail "what was stored is not what was written"
pagoda -q check || fail "check on a full disk"
say "more at once than wait in a queue"
for i in $(seq 80); do
	dd if=written of=view/draft/mem bs=256k count=1 skip="$i" seek="$i" conv=notrunc status=none \
		2>"dd.$i" &
	writers="${writers:-} $!"
done
for pid in $writers; do
	wait "$pid" && fail "a close stored something on a full disk"
done
for i in $(seq 80); do
	expect_text "No space left" "dd.$i"
done
expect 8 pagoda umount view 2>err
expect_text "draft draft holds what cannot be stored: No space left on device" err
rm disk/filler
echo >&6
exec 6>&- 7<&-
wait $probe || fail "the probe failed"
ended $probe
same view/draft/mem written
pagoda umount view || fail "umount"
pagoda export draft stored.img >/dev/null || fail "export"
same stored.img written
pagoda -q check --read-data || fail "check"
pagoda -q rm draft || fail "rm"

say "a limit on the size of files"
(
	# blocks of 512 bytes: 3 MiB
	ulimit -f 6144
	exec "$pagodafs" disk/store view 2>log
) || fail "mount"
stored=$(draft-probe full view/limited/mem EFBIG </dev/null) || fail "the probe failed"
say "$stored bytes were stored"
[ "$stored" -ge 1048576 ] || fail "hardly anything was stored"
cp view/limited/mem written || fail "what was written cannot be read"
pagoda umount view 2>err && fail "umount loses what is written"
expect_text "draft limited holds what cannot be stored: File too large" err
same view/limited/mem written
umount view || fail "umount(8)"
await 60 text log "what was written to limited is lost" || fail "nobody says what is lost"
mount_store disk/store view
cmp -n "$stored" view/limited/mem written || fail "what was stored is gone"
cmp -i $((stored + 1048576)) view/limited/mem base.img || fail "pages that were not written differ"
pagoda -q check --read-data || fail "check"
