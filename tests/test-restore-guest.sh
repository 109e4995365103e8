#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole path with a real guest's memory: guest-a imported, mounted, and served
# from the view to a machine whose threads touch, compare and give back its
# pages; at the end every byte of it is compared.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_userfaultfd
requires_image guest-a
PATH=$top_builddir/tests:$PATH

pagoda -s store init >/dev/null || fail "init"
pagoda -s store import a guest-a.mem || fail "import"
mount_store store view

# ordinary tools see the guest's memory, and its holes
same view/a/mem guest-a.mem
[ "$(sha256sum <view/a/mem)" = "$(sha256sum <guest-a.mem)" ] || fail "sha256sum"
[ "$(grep -c Linux view/a/mem)" -gt 0 ] || fail "grep finds no Linux in a Linux guest"
[ "$(grep -c Linux view/a/mem)" = "$(grep -c Linux guest-a.mem)" ] || fail "grep -c"
dd if=view/a/mem of=copy bs=1M status=none && same copy guest-a.mem
cp view/a/mem copy && same copy guest-a.mem
cp --sparse=always guest-a.mem sparse && cp --sparse=always view/a/mem copy || fail "cp"
sync copy sparse # blocks are counted when they are allocated
same copy guest-a.mem
[ "$(du -k copy | cut -f1)" -le "$(du -k sparse | cut -f1)" ] || fail "the copy is larger"
[ "$(du -k view/a/mem | cut -f1)" -le "$(du -k sparse | cut -f1)" ] || fail "du of the view"
rm copy sparse

threads=8
operations=100000
[ -z "${PAGODA_LONG:-}" ] || threads=16 operations=1000000
start_handler socket view/a --once --stats=stats.json
"$client" -i guest-a.mem -s socket -t "$threads" -n "$operations" --all || fail "the machine saw a wrong byte"
wait "$handler_pid" || fail "the handler ended with $?"
ended "$handler_pid"
cat stats.json
# what was served came from the view, and left it as it is
same view/a/mem guest-a.mem
pagoda umount view || fail "umount"

# The same machine from pages of another codec.
if ! pagoda -q -s store repack a --codec zstd 2>err; then
	expect_text "without libzstd" err
	exit 0
fi
pagoda -q -s store gc || fail "gc"
index-sql store/index.db 'SELECT count(*) FROM page WHERE length < 4096' >lz4
[ "$(cat lz4)" -lt 1000 ] || fail "$(cat lz4) pages of LZ4 are left"
mount_store store view
start_handler socket view/a --once --stats=stats.json
"$client" -i guest-a.mem -s socket -t "$threads" -n $((operations / 10)) --all ||
	fail "the machine saw a wrong byte of a zstd page"
wait "$handler_pid" || fail "the handler ended with $?"
ended "$handler_pid"
pagoda umount view || fail "umount"
