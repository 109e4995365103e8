#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Damage of every kind to the files of a store: never a wrong byte, always exit
# code 3 (9 where it only is too new) and words that say what is damaged.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH

# Flips bit $3 of the byte at $2 of the file $1.
flip() {
	byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	# shellcheck disable=SC2059 # an octal escape
	printf "\\$(printf %03o $((byte ^ (1 << $3))))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
# A copy of the good store, in ./store.
fresh() {
	rm -rf store
	cp -a good store
}
sql() { index-sql store/index.db "$@" || fail "SQL: $*"; }
# Opening $1 of the store fails with code $2 and the words.
damaged() {
	rm -f copy
	pagoda -s store export "$1" copy >out 2>err
	got=$?
	[ $got -eq 3 ] || fail "$case: exit $got of export $1: $(cat err)"
	[ ! -e copy ] || fail "$case: export of a damaged snapshot left a file"
	expect_text "$2" err
}
found() {
	pagoda -s store check "$@" >out 2>err
	got=$?
	[ $got -eq 3 ] || fail "$case: exit $got of check $*: $(cat out err)"
}
fine() { pagoda -s store export "$1" - | cmp - "$1" || fail "$case: $1 is not fine"; }

head -c $((64 * 4096)) /dev/urandom >one
head -c $((32 * 4096)) /dev/urandom >two
pagoda -q -s good init || fail init
pagoda -q -s good import one one || fail import
cp -a good before
pagoda -q -s good import two two || fail import
row() { index-sql good/index.db "SELECT $1 FROM page WHERE id = (SELECT page + $2 FROM extent
	WHERE snapshot = (SELECT id FROM snapshot WHERE name = '$3') AND first = 0)"; }
pack=$(row pack 20 one).pack
offset=$(row offset 20 one)

case="a bit of a stored page"
fresh
flip store/packs/"$pack" $((offset + 1000)) 3
pagoda -q -s store check || fail "$case: check without the data"
found --read-data
expect_text "one: page 20 " out
[ "$(grep -c page out)" -eq 2 ] || fail "$case: more than one finding: $(cat out)"
damaged one "page 20"
fine two
echo kept >copy
expect 3 pagoda -s store export one copy 2>/dev/null
[ "$(cat copy)" = kept ] || fail "$case: the old file was replaced"
rm copy
pagoda --json -s store check --read-data >out.json
[ "$(json-get out.json check findings '#')" = 1 ] || fail "$case: $(cat out.json)"
[ "$(json-get out.json check findings 0 snapshot)" = one ] || fail "$case: $(cat out.json)"
pagoda --json -s store export one copy >out.json
[ "$(json-get out.json error code)" = 3 ] || fail "$case: $(cat out.json)"

case="a pack cut short"
fresh
truncate -s $((offset + 10)) store/packs/"$pack"
found
expect_text "one: pages 20 to 63 (rows " out
expect_text ": pack ${pack%.pack} is cut short at byte $((offset + 10))" out
[ "$(grep -c 'cut short' out)" -eq 1 ] || fail "$case: more than one line for it: $(cat out)"
pagoda --json -s store check >out.json
[ "$(json-get out.json check findings '#')" = 1 ] || fail "$case: $(cat out.json)"
[ "$(json-get out.json check findings 0 snapshot)" = one ] || fail "$case: $(cat out.json)"
damaged one "page 20"

# every line of it is of one cause and one snapshot
case="two packs cut short, of a snapshot with zero pages in it, and nobody's pages"
cat two >gaps
dd if=/dev/zero of=gaps bs=4096 seek=3 count=2 conv=notrunc status=none
head -c 4096 /dev/urandom | dd of=gaps bs=4096 seek=1 conv=notrunc status=none
rm -rf gap
pagoda -q -s gap init && pagoda -q -s gap import one one && pagoda -q -s gap import gaps gaps || fail "$case: import"
truncate -s 100 gap/packs/1.pack
truncate -s 100 gap/packs/2.pack
index-sql gap/index.db "DELETE FROM extent WHERE snapshot = 1 AND first = 0" || fail "$case: SQL"
pagoda -s gap check >out 2>err
[ $? -eq 3 ] || fail "$case: $(cat out err)"
expect_text "64 page rows from 1 to 64: pack 1 is cut short at byte 100" out
expect_text "gaps: 30 pages from 0 to 31 (rows from 65 to 94): pack 2 is cut short at byte 100" out
[ "$(grep -c 'cut short' out)" -eq 2 ] || fail "$case: more lines: $(cat out)"
rm -rf gap

case="a pack missing"
fresh
rm store/packs/"$pack"
found
damaged one "pack"

case="the pack of another store"
fresh
pagoda -q -s other init && pagoda -q -s other import one one || fail "another store"
cp other/packs/*.pack store/packs/"$pack"
found
damaged one "pack"
rm -rf other

# One change of the index that still names valid things: only digests see it.
id=$(row id 20 one)
map_changed() {
	case=$1
	fresh
	sql "$2"
	found
	expect_text "one" out
	damaged one "one"
	fine two
	expect 3 pagoda -s store export one - >/dev/null 2>&1
}
map_changed "a page row that names another page" "UPDATE page SET (hash, pack, offset, length) =
	(SELECT hash, pack, offset, length FROM page WHERE id = $id + 1) WHERE id = $id"
map_changed "an extent that begins at another page" \
	"UPDATE extent SET page = page + 1 WHERE snapshot = 1"
map_changed "an extent that is shorter" "UPDATE extent SET count = count - 1 WHERE snapshot = 1"
map_changed "an extent of zeros" "UPDATE extent SET page = NULL WHERE snapshot = 1"
map_changed "an extent that is gone" "DELETE FROM extent WHERE snapshot = 1"
map_changed "a bit of a hash" "UPDATE page SET hash = hash + 1 WHERE id = $id"
map_changed "a page row that is gone" "DELETE FROM page WHERE id = $id"
map_changed "another size" "UPDATE snapshot SET size = size + 4096 WHERE id = 1"
map_changed "another digest" "UPDATE snapshot SET digest = zeroblob(16) WHERE id = 1"
map_changed "another count" "UPDATE snapshot SET data_pages = data_pages + 1 WHERE id = 1"
map_changed "a parent that is itself" "UPDATE snapshot SET parent = 1 WHERE id = 1"

# Lies about where a page is are seen when it is read, or before.
for lie in "length = 0" "length = -1" "length = 4097" "length = 4294967296" "length = length - 1" \
	"offset = 1" "offset = 9223372036854775807" "offset = -4096" "pack = 77" "pack = -1"; do
	case="a page row with $lie"
	fresh
	sql "UPDATE page SET $lie WHERE id = $id"
	found --read-data
	damaged one "one"
done

# Commits that are lost: SQLite itself finds nothing wrong with any of these.
lost() {
	for command in ls "info one" "export one copy" check; do
		# shellcheck disable=SC2086 # words
		expect 3 pagoda -s store $command >out 2>err
	done
	expect_text "lost commits" err
}
case="index.db of an earlier day put back"
fresh
rm -f store/index.db*
cp before/index.db* store
lost
# A reader keeps the next commit in the -wal, and dies without a checkpoint.
mkfifo holding input
exec 5<>input # both ends: opening it waits for nobody
cp -a good in-wal
"$top_builddir/tests/index-sql" in-wal/index.db 'BEGIN; SELECT count(*) FROM snapshot' hold \
	>holding <input &
reader=$!
started $reader
grep -qx holding <holding || fail "no reader"
pagoda -q -s in-wal note one 'in the -wal' || fail "a note beside a reader"
kill -KILL $reader
wait $reader 2>/dev/null
ended $reader
exec 5>&-
[ -s in-wal/index.db-wal ] || fail "nothing is in the -wal"
rm -f in-wal/index.db-shm
rm -rf store
cp -a in-wal store
pagoda --json -s store info one >out.json || fail "a store with a -wal does not open"
[ "$(json-get out.json snapshot note)" = 'in the -wal' ] || fail "the -wal was not read"

case="index.db without its -wal"
rm -rf store
cp -a in-wal store
rm store/index.db-wal
lost
case="a bit of the -wal"
rm -rf store
cp -a in-wal store
flip store/index.db-wal $((32 + 24 + 100)) 0
lost
case="the -wal of another store"
fresh
cp in-wal/index.db-wal store
pagoda -q -s store check --read-data || fail "$case: it counts"

# Files that are not what they should be.
refused() {
	want=$1
	for command in ls check "import three two"; do
		# shellcheck disable=SC2086 # words
		pagoda -s store $command >out 2>err
		got=$?
		[ $got -eq "$want" ] || fail "$case: exit $got of $command: $(cat out err)"
	done
}
index_changed() {
	want=$1
	case=$2
	fresh
	sql "$2"
	refused "$want"
}
index_changed 3 "PRAGMA application_id = 1"
index_changed 9 "PRAGMA user_version = 3"
expect_text "newer" err
index_changed 3 "PRAGMA user_version = 0"
index_changed 3 "CREATE TRIGGER t AFTER INSERT ON snapshot BEGIN DELETE FROM page; END"
index_changed 3 "CREATE VIEW v AS SELECT 1"
index_changed 3 "CREATE VIEW v AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)
	SELECT n FROM c"
index_changed 3 "PRAGMA writable_schema = ON; UPDATE sqlite_schema
	SET sql = replace(sql, 'hash', 'hash CHECK (length(randomblob(1000000000)))')
	WHERE name = 'page'"
index_changed 3 "CREATE TABLE extra (x)"
index_changed 3 "DROP INDEX page_hash"
index_changed 3 "ALTER TABLE pending RENAME TO hidden"
index_changed 3 "DELETE FROM store"
index_changed 3 "UPDATE store SET uuid = zeroblob(16)"
case="index.db that is no database"
fresh
rm -f store/index.db-*
head -c 40960 /dev/urandom >store/index.db
refused 3
case="an empty index.db"
fresh
rm -f store/index.db-*
: >store/index.db
refused 3
case="no file generation"
fresh
rm store/generation
refused 3
case="a file generation that is cut short"
fresh
head -c 20 good/generation >store/generation
refused 3
exit 0
