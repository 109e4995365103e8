#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check --drop-damaged: what is damaged goes, with what builds on it, by name; the rest
# is as it was, and check is clean.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH

sql() { index-sql store/index.db "$@" || fail "SQL: $*"; }
fresh() {
	case=$1
	rm -rf store
	cp -a good store
}
# What is left, in one line.
left() { index-sql store/index.db "SELECT group_concat(name, ' ') FROM
	(SELECT name FROM snapshot ORDER BY id)"; }
# drops NAME...: these go, and no others
drops() {
	expected=$(index-sql store/index.db "SELECT group_concat(name, ' ') FROM
		(SELECT name FROM snapshot WHERE ' $* ' NOT LIKE '% ' || name || ' %' ORDER BY id)")
	pagoda -s store check --read-data --drop-damaged >out 2>err
	got=$?
	[ $got -eq 3 ] || fail "$case: exit $got: $(cat out err)"
	[ "$(left)" = "$expected" ] || fail "$case: left are $(left), not $expected: $(cat out)"
	for name; do
		grep -qx "dropped $name" out || fail "$case: $name is not named: $(cat out)"
	done
	[ "$(grep -c '^dropped [a-z]*$' out)" -eq $# ] || fail "$case: $(cat out)"
	whole
}
# All that is left is whole.
whole() {
	pagoda -s store check --read-data >out2 2>&1 || fail "$case: check afterwards: $(cat out2)"
	for name in $(left); do
		pagoda -s store export "$name" - | cmp - "$name" || fail "$case: $name is damaged"
	done
	pagoda -q -s store import again one || fail "$case: import afterwards"
	pagoda -s store export again - | cmp - one || fail "$case: the new import"
	pagoda -q -s store rm again && pagoda -q -s store gc || fail "$case: rm and gc"
	pagoda -q -s store check --read-data || fail "$case: check at the end"
}

head -c $((64 * 4096)) /dev/urandom >one
head -c $((32 * 4096)) /dev/urandom >two
cp one child
dd if=/dev/urandom of=child bs=4096 seek=60 count=4 conv=notrunc status=none
cp child grandchild
dd if=/dev/urandom of=grandchild bs=4096 seek=40 count=4 conv=notrunc status=none
{ head -c $((8 * 4096)) /dev/urandom && tail -c $((32 * 4096)) one; } >sharing
echo 'state of the machine' >state
pagoda -q -s good init || fail init
pagoda -q -s good import one one --vmstate state || fail import
pagoda -q -s good import two two || fail import
pagoda -q -s good import child child --parent one || fail import
pagoda -q -s good import grandchild grandchild --parent child || fail import
pagoda -q -s good import sharing sharing || fail import
id() { index-sql good/index.db "SELECT page + $2 FROM extent WHERE snapshot =
	(SELECT id FROM snapshot WHERE name = '$1') AND page IS NOT NULL LIMIT 1"; }
place() { index-sql good/index.db "SELECT $1 FROM page WHERE id = $2"; }
# A byte in the middle of the stored page of that id becomes another.
spoil() {
	at=$(($(place offset "$1") + 1000))
	byte=$(od -An -tu1 -j "$at" -N 1 "store/packs/$(place pack "$1").pack" | tr -d ' ')
	# shellcheck disable=SC2059 # an octal escape
	printf "\\$(printf %03o $((byte ^ 8)))" |
		dd of="store/packs/$(place pack "$1").pack" bs=1 seek="$at" conv=notrunc status=none
}

fresh "nothing is damaged"
pagoda -q -s store check --read-data --drop-damaged >out || fail "$case: $(cat out)"
[ ! -s out ] || fail "$case: $(cat out)"
[ "$(left)" = "one two child grandchild sharing" ] || fail "$case: left are $(left)"

fresh "a page of the base"
spoil "$(id one 10)"
drops one child grandchild
fresh "a page of the base that another shares"
spoil "$(id one 50)"
drops one child grandchild sharing
fresh "a page of the child"
spoil "$(id child 2)"
drops child grandchild
fresh "a page of the topmost"
spoil "$(id grandchild 2)"
drops grandchild
fresh "pages of two"
spoil "$(id grandchild 2)"
spoil "$(id two 7)"
drops grandchild two
fresh "a pack missing"
rm "store/packs/$(place pack "$(id two 0)").pack"
drops two
fresh "a pack cut short"
truncate -s $(($(place offset "$(id two 20)") + 10)) "store/packs/$(place pack "$(id two 0)").pack"
drops two
fresh "the header of a pack"
printf X | dd of="store/packs/$(place pack "$(id two 0)").pack" bs=1 conv=notrunc status=none
drops two

# of the index: what only digests see, and what lies about where a page is
index_drops() {
	fresh "$1"
	sql "$1"
	shift
	drops "$@"
}
two="(SELECT id FROM snapshot WHERE name = 'two')"
child="(SELECT id FROM snapshot WHERE name = 'child')"
page=$(id two 5)
index_drops "UPDATE extent SET page = page + 1 WHERE snapshot = $two" two
index_drops "UPDATE extent SET count = count - 1 WHERE snapshot = $two" two
index_drops "UPDATE extent SET page = NULL WHERE snapshot = $two" two
index_drops "DELETE FROM extent WHERE snapshot = $two" two
index_drops "DELETE FROM extent WHERE snapshot = $child" child grandchild
index_drops "UPDATE page SET hash = hash + 1 WHERE id = $page" two
index_drops "DELETE FROM page WHERE id = $page" two
for lie in "length = 0" "length = -1" "length = 4097" "length = length - 1" "offset = 1" \
	"offset = 9223372036854775807" "offset = -4096" "pack = 77" "pack = -1"; do
	index_drops "UPDATE page SET $lie WHERE id = $page" two
done
index_drops "UPDATE snapshot SET size = size + 4096 WHERE id = $child" child grandchild
index_drops "UPDATE snapshot SET digest = zeroblob(16) WHERE id = $two" two
index_drops "UPDATE snapshot SET data_pages = data_pages + 1 WHERE id = $two" two
index_drops "UPDATE snapshot SET parent = id WHERE id = $child" child grandchild
index_drops "UPDATE snapshot SET state = 7 WHERE id = $two" two
# gone is the parent
index_drops "DELETE FROM snapshot WHERE name = 'one'; DELETE FROM extent WHERE snapshot = 1;
	DELETE FROM attachment" child grandchild

fresh "a vmstate"
sql "UPDATE attachment SET data = CAST('other' AS BLOB)"
pagoda --json -s store check --drop-damaged >out.json
[ $? -eq 3 ] || fail "$case: $(cat out.json)"
[ "$(json-get out.json check dropped items '#')" = 1 ] || fail "$case: $(cat out.json)"
[ "$(json-get out.json check dropped items 0 snapshot)" = one ] || fail "$case: $(cat out.json)"
[ "$(json-get out.json check dropped items 0 attachment)" = vmstate ] || fail "$case: $(cat out.json)"
[ "$(left)" = "one two child grandchild sharing" ] || fail "$case: left are $(left)"
whole

fresh "pages without the row of their pack"
sql "DELETE FROM pack WHERE id = 1"
drops

# nothing goes while something of it is open
fresh "a snapshot that is open"
mkfifo pipe
"$top_builddir/pagoda" -s store export child - >pipe 2>/dev/null &
reader=$!
started $reader
exec 5<pipe
dd bs=4096 count=1 status=none of=/dev/null <&5
spoil "$(id one 10)" # it has been read by then: the pipe is full
expect 5 pagoda -s store check --read-data --drop-damaged >out 2>err
expect_text "nothing is dropped: " err
expect_text "in use by pagoda export child (pid $reader)" err
[ "$(left)" = "one two child grandchild sharing" ] || fail "$case: left are $(left)"
exec 5<&-
wait $reader
ended $reader
drops one child grandchild

# an index that is damaged itself is not touched
fresh "index.db itself"
size=$(index-sql store/index.db 'PRAGMA page_size')
root=$(index-sql store/index.db "SELECT rootpage FROM sqlite_schema WHERE name = 'page_hash'")
head -c 200 /dev/urandom | dd of=store/index.db bs=1 seek=$(((root - 1) * size + size - 400)) \
	conv=notrunc status=none
expect 3 pagoda -s store check --drop-damaged >out 2>err
expect_text "nothing is dropped" err
expect_text "pagoda copy" err
[ "$(left)" = "one two child grandchild sharing" ] || fail "$case: left are $(left)"
pagoda -q -s rescue init || fail init
pagoda -q -s store copy two rescue || fail "copy out of a damaged index"
pagoda -s rescue export two - | cmp - two || fail "two differs after the rescue"
exit 0
