#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Codecs: pages of LZ4 and of zstd side by side, a store of format 1 as an older program
# made it, and a program without libzstd, which refuses what it cannot read and does not
# call it damage.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH
requires_zstd
requires_program xz

without() { "$top_builddir/tests/pagoda-without-zstd" "$@"; }
format() { index-sql "$1/index.db" 'PRAGMA user_version'; }
zstd_rows() { index-sql "$1/index.db" 'SELECT count(*) FROM page WHERE length > 65536'; }
packs() { cat "$1"/packs/*.pack | wc -c; }
exported() { pagoda -s "$1" export "$2" - | cmp - "$3" || fail "$2 in $1 is not $3"; }

# Text, noise and zeros; half of other is of image.
{
	seq 1 150000 | head -c $((200 * 4096))
	head -c $((50 * 4096)) /dev/urandom
	head -c $((50 * 4096)) /dev/zero
} >image
{ tail -c $((150 * 4096)) image && seq 500000 600000 | head -c $((100 * 4096)); } >other

# LZ4 is the default, and leaves the format as it was
pagoda -q -s plain init && pagoda -q -s plain import a image || fail import
[ "$(format plain)" = 1 ] || fail "format $(format plain)"
[ "$(zstd_rows plain)" = 0 ] || fail "zstd without being asked"
pagoda -q -s plain import again image --codec lz4 || fail "import --codec lz4"
[ "$(format plain)" = 1 ] || fail "format $(format plain)"

# zstd is smaller; what the store has is shared whatever its codec
pagoda -q -s small init && pagoda -q -s small import a image --codec zstd || fail "import --codec zstd"
[ "$(format small)" = 2 ] || fail "format $(format small)"
[ "$(zstd_rows small)" = 200 ] || fail "$(zstd_rows small) rows with zstd"
say "lz4 $(packs plain), zstd $(packs small) bytes"
[ "$(packs small)" -lt "$(packs plain)" ] || fail "zstd is no smaller"
exported small a image
before=$(zstd_rows small)
pagoda -q -s small import b other || fail import
exported small b other
[ "$(zstd_rows small)" = "$before" ] || fail "a second import wrote zstd, or copied rows"
pagoda --json -s small info b >out.json || fail info
[ "$(json-get out.json snapshot stored_pages)" = 100 ] || fail "$(cat out.json)"
pagoda -q -s small check --read-data || fail check

# copy writes what it is told, whatever it reads
pagoda -q -s to-lz4 init && pagoda -q -s to-zstd init || fail init
pagoda -q -s small copy b to-lz4 || fail copy
pagoda -q -s small copy b to-zstd --codec zstd || fail "copy --codec zstd"
exported to-lz4 b other
exported to-zstd b other
[ "$(zstd_rows to-lz4)" = 0 ] || fail "copy without --codec wrote zstd"
[ "$(zstd_rows to-zstd)" -gt 100 ] || fail "copy --codec zstd: $(zstd_rows to-zstd) rows"

# a draft over zstd pages
pagoda -q -s small fork a draft && pagoda -q -s small seal draft || fail "fork and seal"
exported small draft image

# codecs that are not there
expect 6 pagoda -s small import c image --codec gzip 2>err
expect_text "no codec 'gzip': there are lz4 and zstd" err
expect 2 pagoda -s small repack a 2>err
expect_text '--codec' err

# Without libzstd: refused, not damaged.
expect 6 without -s plain import c image --codec zstd 2>err
expect_text 'built without libzstd' err
expect 6 without -s plain repack a --codec zstd 2>err
expect 6 without -s plain copy a to-lz4 --codec zstd 2>err
for command in 'export a out' 'check --read-data' 'repack a --codec lz4'; do
	# shellcheck disable=SC2086 # words
	expect 9 without -s small $command 2>err >out
	expect_text 'compressed with zstd, and this program was built without libzstd' err
	! grep -q -i damage err || fail "$command: $(cat err)"
done
# what needs no zstd works, and zstd pages are not shared but stored once more
without -q -s plain check --read-data || fail "check of a store without zstd"
without -q -s small check || fail "check without reading"
without -q -s small import mine image || fail "import into a store with zstd"
without -q -s small export mine out && cmp out image || fail "export"
exported small mine image
without -q -s small rm mine && without -q -s small gc || fail "rm and gc"
exported small a image

# A flipped bit in a page of zstd is damage.
offset=$(index-sql small/index.db 'SELECT offset FROM page WHERE length > 65536 LIMIT 1 OFFSET 9')
pack=small/packs/$(index-sql small/index.db 'SELECT pack FROM page WHERE length > 65536 LIMIT 1 OFFSET 9').pack
byte=$(od -A n -t u1 -j $((offset + 20)) -N 1 "$pack")
# shellcheck disable=SC2059 # the byte is the format
printf "\\$(printf %o $((byte ^ 16)))" | dd of="$pack" bs=1 seek=$((offset + 20)) conv=notrunc status=none
expect 3 pagoda -s small export a out 2>err
expect_text 'page 9' err
expect 3 pagoda -q -s small check --read-data >out 2>&1

# A newer format is refused; what an older program made is read, and goes on as it is.
index-sql to-lz4/index.db 'PRAGMA user_version = 3' || fail index-sql
expect 9 pagoda -s to-lz4 ls 2>err
expect_text 'the store has format 3, this program knows up to 2' err
xz -dc "$top_srcdir/tests/data/store-1.tar.xz" | tar -x || fail "cannot unpack store-1"
seq 1 40000 | head -c 163840 >base.mem
{
	seq 1 40000 | head -c 81920
	seq 90000 99999 | head -c 40960
	head -c 40960 /dev/zero
} >later.mem
for program in without pagoda; do
	$program -q -s store-1 check --read-data || fail "check of a store of format 1"
	$program -q -s store-1 export base out && cmp out base.mem || fail "base of format 1"
	$program -q -s store-1 export later out && cmp out later.mem || fail "later of format 1"
done
pagoda -q -s store-1 import a image || fail "import into a store of format 1"
[ "$(format store-1)" = 1 ] || fail "format $(format store-1)"
pagoda -q -s store-1 import b other --codec zstd || fail "zstd into a store of format 1"
[ "$(format store-1)" = 2 ] || fail "format $(format store-1)"
pagoda -q -s store-1 repack later --codec zstd || fail "repack in a store of format 1"
pagoda -q -s store-1 gc && pagoda -q -s store-1 check --read-data || fail "gc and check"
exported store-1 base base.mem
exported store-1 later later.mem
exported store-1 draft later.mem
exported store-1 a image
exported store-1 b other
