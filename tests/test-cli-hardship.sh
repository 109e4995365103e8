#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A store that has lost a part, belongs to another user, has no room, or has FIFOs
# where files should be: nothing is overwritten, nothing hangs, readers go on.
. "${srcdir:-.}/tests/functions.sh"
requires_root

head -c 1M /dev/urandom >image
new_store() {
	pagoda -s "$1" init >/dev/null && pagoda -s "$1" import a image >/dev/null || fail "setup of $1"
}

say "a store without its index is neither absent nor overwritten"
new_store lost
mkdir aside && mv lost/index.db* aside/
expect 3 pagoda -s lost ls 2>err
expect_text 'index.db is missing' err
expect 6 pagoda -s lost init 2>err
expect_text 'has lost its index.db' err
mv aside/* lost/
expect 0 pagoda -s lost check --read-data >/dev/null

say "a file in the way of a pack stays as it is"
echo precious >lost/packs/2.pack
head -c 8192 /dev/urandom >more
expect 0 pagoda -s lost import b more >/dev/null
[ "$(cat lost/packs/2.pack)" = precious ] || fail "a file was replaced"
expect 0 pagoda -s lost check --read-data >/dev/null

say "holders/ is empty at rest and may be missing"
rmdir lost/holders
expect 0 pagoda -s lost ls >/dev/null

say "what root writes to a user's store stays the user's"
new_store owned
chown -R 1234:1234 owned
pagoda -s owned note a x >/dev/null && pagoda -s owned import b more >/dev/null || fail "as root"
[ -z "$(find owned ! -uid 1234)" ] || fail "not the owner's: $(find owned ! -uid 1234)"

say "a full disk leaves readers alone"
mkdir full
mounted "$work/full"
mount -t tmpfs -o size=6M tmpfs full || fail "tmpfs"
new_store full/s
dd if=/dev/zero of=full/fill bs=4096 2>/dev/null
expect 0 pagoda -s full/s ls >/dev/null
expect 0 pagoda -s full/s check --read-data >/dev/null
expect 0 pagoda -s full/s export a out >/dev/null
same out image

say "FIFOs in place of files are damage, not a wait"
new_store fifos
mv fifos/generation aside/ && mkfifo fifos/generation
expect 3 timeout 20 "$top_builddir/pagoda" -s fifos ls 2>err
rm fifos/generation && mv aside/generation fifos/
mv fifos/packs/1.pack aside/ && mkfifo fifos/packs/1.pack
expect 3 timeout 20 "$top_builddir/pagoda" -s fifos check --read-data >/dev/null
expect 3 timeout 20 "$top_builddir/pagoda" -s fifos export a out2 2>err

say "an image that is written to while it is read is refused"
# the writer lock, held by another, stops the import after it has opened the image
cp image moving
mkfifo hold release
"$top_builddir/tests/index-sql" lost/index.db 'BEGIN IMMEDIATE' hold <release >hold &
started $!
exec 5>release
read -r line <hold && [ "$line" = holding ] || fail "the index is not held"
"$top_builddir/pagoda" -s lost import m moving >out3 2>err 5>&- &
importer=$!
started $importer
# it has the image open when /proc says so
until ls -l /proc/$importer/fd 2>/dev/null | grep -q 'moving$'; do kill -0 $importer || break; done
printf x | dd of=moving bs=1 conv=notrunc 2>/dev/null
exec 5>&-
wait $importer
code=$?
ended $importer
[ $code -eq 6 ] || fail "import of a moving image ended with $code: $(cat err)"
expect_text 'was written to while it was read' err
