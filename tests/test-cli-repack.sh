#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# repack: beside a live view, beside imports that share, killed at any moment; the view
# shows the same bytes all the time.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH
requires_zstd
requires_fuse

PAGODA_STORE=$work/store
export PAGODA_STORE
repacked() { json-get out.json repacked "$1"; }

{
	seq 1 1000000 | head -c $((1500 * 4096))
	head -c $((100 * 4096)) /dev/urandom
} >image
cp image child.mem
seq 7000000 8000000 | head -c $((200 * 4096)) | dd of=child.mem bs=4096 seek=100 conv=notrunc status=none
pagoda -q init && pagoda -q import base image || fail import
pagoda -q import child child.mem --parent base || fail import
mount_store "$work/store" view
drop() { echo 1 >/proc/sys/vm/drop_caches; }
viewed() {
	drop
	cmp view/base/mem image || fail "base in the view"
	cmp view/child/mem child.mem || fail "child in the view"
}
viewed

# a dry run tells what a run does
pagoda --json repack -n child --codec zstd >out.json || fail "dry run"
[ "$(repacked dry_run)" = true ] || fail "$(cat out.json)"
[ "$(repacked pages)" = 200 ] || fail "only the layer's own pages: $(cat out.json)"
said=$(repacked bytes_after)
pagoda --json repack child --codec zstd >out.json || fail repack
[ "$(repacked bytes_after)" = "$said" ] || fail "it said $said: $(cat out.json)"
[ "$(repacked codec)" = zstd ] || fail "$(cat out.json)"
[ "$(repacked pages)" = 200 ] || fail "$(cat out.json)"
viewed
pagoda repack child --codec zstd >out || fail "repack again"
expect_text 'child: no page was written anew with zstd' out
pagoda -q repack child --codec lz4 >out && [ ! -s out ] || fail "--quiet says something"
pagoda -q gc && viewed

# to and fro, beside readers of the view and imports that share, and killed now and then
reader() {
	while [ ! -e stop ]; do
		echo 1 >/proc/sys/vm/drop_caches
		cmp view/base/mem image && cmp view/child/mem child.mem || exit 1
	done
}
importer() {
	i=0
	while [ ! -e stop ]; do
		"$top_builddir/pagoda" -q import "more-$i" image || exit 1
		"$top_builddir/pagoda" export "more-$i" - | cmp - image || exit 1
		"$top_builddir/pagoda" -q rm "more-$i" || exit 1
		i=$((i + 1))
	done
}
by_chance 6 60
reader &
reader_pid=$!
started $reader_pid
importer &
importer_pid=$!
started $importer_pid
i=0
while [ $i -lt "$rounds" ]; do
	i=$((i + 1))
	for codec in zstd lz4; do
		"$top_builddir/pagoda" -q repack base --codec $codec &
		repack_pid=$!
		started $repack_pid
		dawdle 40000
		kill -KILL $repack_pid 2>/dev/null
		wait $repack_pid 2>/dev/null
		ended $repack_pid
		pagoda -q repack base --codec $codec || fail "repack $i --codec $codec"
		pagoda -q gc || fail "gc $i"
	done
done
: >stop
wait $reader_pid || fail "a reader saw other bytes"
wait $importer_pid || fail "an import failed"
ended $reader_pid
ended $importer_pid
viewed
pagoda -q repack base --codec zstd && pagoda -q gc || fail "the last one"
viewed
pagoda -q check --read-data || fail check

# a draft is sealed first
pagoda -q fork child draft || fail fork
expect 6 pagoda repack draft --codec zstd 2>err
expect_text "'draft' is a draft: seal it first" err
expect 4 pagoda repack nobody --codec zstd 2>err
