#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# copy: a snapshot with the layers it needs goes to another store, all of it or nothing;
# what is there already is used, and what has a name that is taken is refused.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH

digest() { pagoda --json -s "$1" info "$2" >info.json && json-get info.json snapshot digest; }
layer_digest() { pagoda --json -s "$1" info "$2" >info.json && json-get info.json snapshot layer_digest; }
names() { pagoda --json -s "$1" ls >ls.json && json-get ls.json snapshots '#'; }
# The snapshot $1 of the store here and the one called $2 in the store $3 are the same.
copied() {
	[ "$(digest here "$1")" = "$(digest "$3" "$2")" ] || fail "$2 has another digest in $3"
	[ "$(layer_digest here "$1")" = "$(layer_digest "$3" "$2")" ] || fail "$2: another layer digest"
	pagoda -s "$3" export "$2" - | cmp - "$1.mem" || fail "$2 in $3 is not $1"
}

head -c $((400 * 4096)) /dev/urandom >base.mem
truncate -s $((1000 * 4096)) base.mem
cp base.mem child.mem
# some pages of its own, and zeros over data
dd if=/dev/urandom of=child.mem bs=4096 seek=390 count=50 conv=notrunc status=none
dd if=/dev/zero of=child.mem bs=4096 seek=10 count=20 conv=notrunc status=none
cp child.mem grandchild.mem
dd if=/dev/urandom of=grandchild.mem bs=4096 seek=700 count=300 conv=notrunc status=none
echo 'state of the machine' >state
pagoda -q -s here init && pagoda -q -s there init || fail init
pagoda -q -s here import base base.mem || fail import
pagoda -q -s here import child child.mem --parent base --vmstate state || fail import
pagoda -q -s here import grandchild grandchild.mem --parent child || fail import
pagoda -q -s here note child 'before the upgrade' || fail note

# with all its layers, on another file system where there is one
pagoda --json -s here copy child there >out.json || fail "copy: $(cat out.json)"
[ "$(json-get out.json copied layers_copied)" = 2 ] || fail "$(cat out.json)"
[ "$(json-get out.json copied layers_reused)" = 0 ] || fail "$(cat out.json)"
[ "$(json-get out.json copied snapshot name)" = child ] || fail "$(cat out.json)"
copied child child there
copied base base there
[ "$(json-get info.json snapshot parent)" = null ] || fail "base has got a parent"
pagoda --json -s there info child >info.json
[ "$(json-get info.json snapshot parent)" = base ] || fail "child has lost its parent"
[ "$(json-get info.json snapshot note)" = 'before the upgrade' ] || fail "the note is lost"
pagoda --json -s here info child >info-here.json
for key in created_ns layer_data_pages layer_zero_pages data_pages size vmstate_bytes; do
	[ "$(json-get info.json snapshot $key)" = "$(json-get info-here.json snapshot $key)" ] ||
		fail "$key differs"
done
[ "$(index-sql there/index.db "SELECT CAST(data AS TEXT) FROM attachment WHERE name = 'vmstate'")" = \
	'state of the machine' ] || fail "the vmstate is lost"
pagoda -q -s there check --read-data || fail "check there"

# what is there is used, under any name
before=$(du -sk there/packs | cut -f 1)
pagoda -q -s there rename base root || fail rename
pagoda --json -s here copy grandchild there >out.json || fail "copy: $(cat out.json)"
[ "$(json-get out.json copied layers_copied)" = 1 ] || fail "$(cat out.json)"
[ "$(json-get out.json copied layers_reused)" = 2 ] || fail "$(cat out.json)"
[ "$(json-get out.json copied stored_pages)" = 300 ] || fail "$(cat out.json)"
copied grandchild grandchild there
after=$(du -sk there/packs | cut -f 1)
[ $((after - before)) -lt 1300 ] || fail "$((after - before)) KiB for 300 pages"
# again: it is there
pagoda --json -s here copy grandchild there >out.json || fail "copy again: $(cat out.json)"
[ "$(json-get out.json copied layers_copied)" = 0 ] || fail "$(cat out.json)"
# under another name: its pages are there
pagoda --json -s here copy --name second grandchild there >out.json || fail "copy --name"
[ "$(json-get out.json copied stored_pages)" = 0 ] || fail "$(cat out.json)"
copied grandchild second there
pagoda -q -s there check --read-data || fail "check there"

# refused, and nothing changes
refused() {
	want=$1
	words=$2
	shift 2
	n=$(names there)
	expect "$want" pagoda "$@" >out 2>err
	expect_text "$words" err
	[ "$(names there)" = "$n" ] || fail "something is listed after: $words"
}
head -c 8192 /dev/urandom >other.mem
pagoda -q -s there import taken other.mem || fail import
pagoda -q -s here import taken base.mem || fail import
refused 6 "there has another snapshot 'taken': give the copy a name with --name" \
	-s here copy taken there
refused 6 "is the same store" -s here copy child here
ln -s here again
refused 6 "is the same store" -s here copy child again
refused 4 "no snapshot 'nobody'" -s here copy nobody there
refused 4 "no store at" -s here copy child nowhere
refused 6 "is no snapshot name" -s here copy --name .x child there
refused 2 "wants NAME OTHER_STORE" -s here copy child
pagoda -q -s third init || fail init
pagoda -q -s third import base other.mem || fail import
expect 6 pagoda -s here copy child third 2>err
expect_text "has another snapshot 'base' than the one it builds on" err
[ "$(names third)" = 1 ] || fail "something was copied"

# a page that is damaged here does not go there
cp -a here broken
pack=$(index-sql here/index.db "SELECT pack FROM page WHERE id = (SELECT page + 5 FROM extent
	WHERE snapshot = 2 AND page IS NOT NULL LIMIT 1)")
offset=$(index-sql here/index.db "SELECT offset FROM page WHERE id = (SELECT page + 5 FROM extent
	WHERE snapshot = 2 AND page IS NOT NULL LIMIT 1)")
printf 'XXXX' | dd of="broken/packs/$pack.pack" bs=1 seek=$((offset + 500)) conv=notrunc status=none
pagoda -q -s fourth init || fail init
expect 3 pagoda -s broken copy child fourth 2>err
expect_text "copy child: " err
[ "$(names fourth)" = 0 ] || fail "half a chain is listed"
pagoda -q -s fourth gc && pagoda -q -s fourth check || fail "after a failed copy"
[ "$(find fourth/packs -type f | wc -l)" = 0 ] || fail "a failed copy leaves packs"

# killed anywhere: nothing is listed, or all is
by_chance 20 200
none=0
round=0
while [ $round -lt $rounds ]; do
	rm -rf fifth
	pagoda -q -s fifth init || fail init
	"$top_builddir/pagoda" -q -s here copy grandchild fifth 2>/dev/null &
	pid=$!
	started $pid
	dawdle 40000
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	ended $pid
	n=$(names fifth)
	[ "$n" = 0 ] || [ "$n" = 3 ] || fail "$n of 3 layers are listed after a kill"
	[ "$n" = 3 ] || none=$((none + 1))
	pagoda -q -s fifth check || fail "check after a kill"
	pagoda -q -s here copy grandchild fifth || fail "copy after a kill"
	copied grandchild grandchild fifth
	round=$((round + 1))
done
say "$none of $rounds found nothing"
pagoda -q -s fifth gc && pagoda -q -s fifth check --read-data || fail "check at the end"
[ "$(index-sql fifth/index.db 'SELECT count(*) FROM snapshot')" = 3 ] || fail "rows are left over"

# a full disk there
[ "$(id -u)" = 0 ] || exit 0
mkdir disk
mounted "$work/disk"
mount -t tmpfs -o size=1500k tmpfs disk || exit 0
pagoda -q -s disk/store init || fail init
expect 8 pagoda -s here copy grandchild disk/store 2>err
expect_text "No space left" err
[ "$(names disk/store)" = 0 ] || fail "half a chain on a full disk"
mount -o remount,size=8m disk
pagoda -q -s here copy grandchild disk/store || fail "copy to another file system"
copied grandchild grandchild disk/store
