#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Layers at the command line: images and diffs over a parent, diffs given back, what
# needs whom, and what a diff must be to be one.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH

PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail init
info() { pagoda --json info "$1" | json-get - snapshot "$2"; }
comes_back() {
	pagoda -q export "$1" back || fail "export $1"
	same back "$2"
}
# set_page IMAGE PGNO: noise; with a third word zeros
set_page() {
	head -c 4096 "${3:-/dev/urandom}" | dd of="$1" bs=4096 seek="$2" conv=notrunc status=none
}

# 256 pages of data, and zeros around them
truncate -s 4M base
head -c 1M /dev/urandom | dd of=base bs=1M seek=1 conv=notrunc status=none
pagoda -q import base base || fail "import base"

cp base later
set_page later 3
set_page later 300
set_page later 301 /dev/zero
set_page later 511 /dev/zero
set_page later 1023
pagoda import later later --parent base >out || fail "import later"
expect_text "later: 4.0 MiB over base, 3 pages stored (12.0 KiB), 0 shared, 2 zero, 1019 unchanged" out
[ "$(info later parent)" = base ] || fail "parent $(info later parent)"
[ "$(info later layer_data_pages) $(info later layer_zero_pages)" = "3 2" ] || fail "$(pagoda --json info later)"
comes_back later later
pagoda -q import alone later || fail "import alone"
[ "$(info later digest)" = "$(info alone digest)" ] || fail "a layer has another digest than the whole"

# a pipe has no holes, and pages are compared all the same
cat later | pagoda -q import piped - --parent base || fail "import piped"
[ "$(info later layer_digest)" = "$(info piped layer_digest)" ] || fail "another layer came of a pipe"

# a directory of a VMM, over a parent
mkdir pair
cp later pair/mem
echo state >pair/vmstate
pagoda -q import pair --from-dir pair --parent base || fail "--from-dir --parent"
[ "$(info later layer_digest)" = "$(info pair layer_digest)" ] || fail "another layer came of a directory"
diff-file make base later pair/mem
pagoda -q import pair-diff --from-dir pair --parent base --diff || fail "--from-dir --diff"
[ "$(info later layer_digest)" = "$(info pair-diff layer_digest)" ] || fail "another layer came of a diff"
[ "$(info pair-diff vmstate_bytes)" = 6 ] || fail "no machine state"

# the diff: exactly the pages that differ, zeros as data
pagoda export --diff later diff >out || fail "export --diff"
expect_text "later: a diff of 4.0 MiB to diff" out
[ "$(stat -c %s diff)" = 4194304 ] || fail "size $(stat -c %s diff)"
diff-file holes diff >holes
printf '3 1\n300 2\n511 1\n1023 1\n' | cmp - holes || fail "its data is: $(cat holes)"
[ "$(stat -c %b diff)" -eq 40 ] || fail "$(stat -c %b diff) blocks"
diff-file make base later made
cmp diff made || fail "the diff has other bytes"
cp base merged
diff-file merge diff merged || fail merge
same merged later
pagoda -q import again diff --parent base --diff || fail "import --diff"
[ "$(info later layer_digest)" = "$(info again layer_digest)" ] || fail "another layer came back"
comes_back again later

# which pages differ, and how
pagoda diff base later >out || fail diff
cat >wanted <<-'end'
	000000003000-000000004000 zero data
	00000012c000-00000012d000 data data
	00000012d000-00000012e000 data zero
	0000001ff000-000000200000 data zero
	0000003ff000-000000400000 zero data
	5 pages (20.0 KiB) differ: 1 changed, 2 filled, 2 zeroed
end
same out wanted
pagoda -q diff later base >out || fail "diff the other way"
head -5 wanted | sed 's/zero data/x/; s/data zero/zero data/; s/x$/data zero/' | cmp - out || fail "$(cat out)"
pagoda diff later again >out || fail "diff of equal ones"
[ "$(cat out)" = "no page differs" ] || fail "$(cat out)"
[ -z "$(pagoda -q diff later again)" ] || fail "a quiet diff of equal ones says something"
pagoda --json diff base later >out.json || fail "diff --json"
[ "$(json-get out.json schema_version)" = 1 ] || fail "$(cat out.json)"
[ "$(json-get out.json diff ranges '#')" = 5 ] || fail "$(cat out.json)"
[ "$(json-get out.json diff ranges 3 start)-$(json-get out.json diff ranges 3 end)" = 2093056-2097152 ] || fail "$(cat out.json)"
[ "$(json-get out.json diff ranges 3 a) $(json-get out.json diff ranges 3 b)" = "data zero" ] || fail "$(cat out.json)"
[ "$(json-get out.json diff filled_pages)" = 2 ] || fail "$(cat out.json)"
pagoda --json diff later again >out.json || fail "diff --json of equal ones"
[ "$(json-get out.json diff ranges '#')" = 0 ] || fail "$(cat out.json)"
# of two sizes
head -c 2M later >short
pagoda -q import short short || fail "import short"
pagoda diff short later >out || fail "diff of two sizes"
cat >wanted <<-'end'
	000000200000-0000003ff000 absent zero
	0000003ff000-000000400000 absent data
	512 pages (2.0 MiB) differ: 0 changed, 0 filled, 0 zeroed, 512 behind the end of the smaller one
end
same out wanted
[ "$(pagoda --json diff later short | json-get - diff beyond_pages)" = 512 ] || fail "beyond_pages"
pagoda -q rm short || fail "rm short"

# a base is all data, its zeros too
pagoda -q export --diff base whole || fail "export --diff base"
diff-file holes whole >holes
[ "$(cat holes)" = "0 1024" ] || fail "its data is: $(cat holes)"
same whole base
pagoda -q import whole whole --parent later --diff || fail "a diff of all pages"
[ "$(info whole layer_digest)" = "$(info base layer_digest)" ] || fail "a diff of all pages is not the base"
comes_back whole base

# what a diff holds is of the layer, also what the parent has: an empty one has nothing
truncate -s 4M empty
pagoda -q import empty empty --parent later --diff || fail "an empty diff"
[ "$(info empty digest)" = "$(info later digest)" ] || fail "an empty diff changed something"
pagoda -q export --diff empty back || fail "export --diff empty"
[ -z "$(diff-file holes back)" ] || fail "an empty diff has data"
[ "$(pagoda -q diff later empty)" = "" ] || fail "an empty diff differs"
dd if=base of=empty bs=4096 skip=300 seek=300 count=1 conv=notrunc status=none
pagoda -q import undone empty --parent later --diff || fail "a diff of one page"
[ "$(info undone layer_data_pages) $(info undone stored_pages)" = "1 0" ] || fail "$(pagoda --json info undone)"

# a diff replaces a file, or leaves it alone
echo before >target
pagoda -q export --diff later target || fail "export over a file"
same target diff
(
	ulimit -f 64
	exec pagoda -q export --diff base target
) 2>err && fail "an export beyond the limit"
same target diff
[ "$(find . -name 'target.*')" = "" ] || fail "left: $(find . -name 'target.*')"

# who needs whom
pagoda info base >out || fail info
expect_text "children    later, piped, pair, pair-diff, again" out
! grep -q "^layers\|^parent" out || fail "a base with layers: $(cat out)"
pagoda info undone >out || fail info
expect_text "parent      later" out
expect_text "layers      3" out
expect_text "layer       1 pages (4.0 KiB)" out
! grep -q "^children" out || fail "children of nobody: $(cat out)"
[ "$(info undone layers) $(info base layers)" = "3 1" ] || fail "layers"
[ "$(pagoda --json info later | json-get - snapshot children '#')" = 3 ] || fail "$(pagoda --json info later)"
[ "$(pagoda --json info later | json-get - snapshot children 1)" = empty ] || fail "$(pagoda --json info later)"
expect 5 pagoda rm base 2>err
expect_text "rm base: 'later', 'piped', 'pair' and 2 more build on it: remove them first" err
expect 5 pagoda rm later 2>err
expect_text "rm later: 'whole', 'empty' and 'undone' build on it: remove them first" err
pagoda -q rm whole && pagoda -q rm empty || fail rm
expect 5 pagoda rm -n later 2>err
expect_text "rm later: 'undone' builds on it: remove that first" err
pagoda -q rm undone && pagoda -q rm later || fail rm

# the parent of an import under way stays; one that was killed holds nothing
mkfifo slow
pagoda -q import child slow --parent alone 2>/dev/null &
child=$!
started $child
exec 5>slow
until [ "$(index-sql store/index.db "SELECT count(*) FROM snapshot WHERE name = 'child'")" = 1 ]; do
	kill -0 $child 2>/dev/null || fail "the slow import ended"
done
expect 5 pagoda rm alone 2>err
expect_text "rm alone: 'child' is being imported over it" err
cat later >&5
exec 5>&-
wait $child || fail "the slow import"
ended $child
comes_back child later
expect 5 pagoda rm alone 2>err
expect_text "rm alone: 'child' builds on it" err
pagoda -q rm child || fail "rm child"
"$top_builddir/pagoda" -q import child slow --parent alone 2>/dev/null &
child=$!
started $child
exec 5>slow
until [ "$(index-sql store/index.db "SELECT count(*) FROM snapshot WHERE name = 'child'")" = 1 ]; do
	kill -0 $child 2>/dev/null || fail "the slow import ended"
done
kill -KILL $child
wait $child 2>/dev/null
ended $child
exec 5>&-
pagoda -q rm -n alone >/dev/null || fail "rm -n of the parent of an import that was killed"
pagoda -q rm alone || fail "rm of the parent of an import that was killed"

# rm of a parent and an import over it, at once: one of them comes first
n=0
imported=0
while [ $n -lt 12 ]; do
	n=$((n + 1))
	pagoda -q import parent base || fail "import parent"
	"$top_builddir/pagoda" -q import child later --parent parent 2>import.err &
	child=$!
	# later by a little each time
	i=0
	while [ $i -lt $((n * n * 20)) ]; do i=$((i + 1)); done
	pagoda -q rm parent 2>rm.err
	removed=$?
	wait $child
	case "$?,$removed" in
	0,5)
		comes_back child later
		pagoda -q rm child && pagoda -q rm parent || fail "rm of both"
		imported=$((imported + 1))
		;;
	4,0) ;;
	*) fail "import and rm ended with $?,$removed: $(cat import.err rm.err)" ;;
	esac
done
say "of $n imports over a parent that was to be removed $imported came first"
pagoda -q check --read-data || fail "check"

# chains that are none: each is an error that names where, in all that opens one
mkdir chain
pagoda -q -s chain/store init || fail init
pagoda -q -s chain/store import bottom base || fail "import bottom"
pagoda -q -s chain/store import middle later --parent bottom || fail "import middle"
pagoda -q -s chain/store import top base --parent middle || fail "import top"
pagoda -q -s chain/store check --read-data || fail "check of a chain"
broken() { # SQL TEXT
	rm -rf broken
	cp -r chain/store broken
	index-sql broken/index.db "$1" || fail "index-sql: $1"
	for command in "export top written" "export --diff top written" "diff top bottom" "import x base --parent top"; do
		# shellcheck disable=SC2086 # words
		expect 3 pagoda -s broken $command 2>err
		expect_text "$2" err
		[ ! -e written ] || fail "$command: wrote something"
	done
	pagoda -s broken info top >out || fail "info of a broken chain"
	expect_text "parent      middle" out
	[ "$(pagoda -s broken --json info top | json-get - snapshot layers)" = null ] || fail "layers of a broken chain"
	expect 3 pagoda -s broken check >out 2>err
	expect_text "$2" out
}
broken "DELETE FROM snapshot WHERE name = 'bottom'" "top: the parent of its layer 'middle' is missing"
broken "UPDATE snapshot SET size = size - 4096, data_pages = 1, layer_data = 1, layer_zero = 1,
	stored_pages = 1 WHERE name = 'bottom'" "top: its layers 'middle' and 'bottom' differ in size"
broken "UPDATE snapshot SET parent = (SELECT id FROM snapshot WHERE name = 'top')
	WHERE name = 'bottom'" "its layers go round in a circle at '"
broken "UPDATE snapshot SET parent = id WHERE name = 'bottom'" "its layers go round in a circle at 'bottom'"

# the deepest chain: it opens, and grows no more
pagoda -q -s deep init || fail init
pagoda -q -s deep import l1 base || fail "import l1"
truncate -s 4M nothing
pagoda -q -s deep import l2 nothing --parent l1 --diff || fail "import l2"
index-sql deep/index.db "WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
	INSERT INTO snapshot (id, name, parent, size, page_size, state, created_ns, digest, layer_digest, data_pages)
	SELECT i, 'l' || i, i - 1, size, page_size, 2, 0, digest, layer_digest, data_pages
	FROM n, snapshot WHERE id = 2" || fail index-sql
pagoda -q -s deep import top later --parent l9999 || fail "the last layer"
pagoda -s deep export top - | cmp - later || fail "other bytes below 10,000 layers"
[ "$(pagoda -s deep --json info top | json-get - snapshot layers)" = 10000 ] || fail "layers of top"
expect 6 pagoda -s deep import x later --parent top 2>err
expect_text "import x: its parent 'top' has 10000 layers, which is the most" err
expect 6 pagoda -s deep fork top x 2>err
expect_text "fork top: 'top' has 10000 layers, which is the most" err
expect 4 pagoda -s deep info x 2>err
pagoda -q -s deep fork l9999 below || fail "fork below the most"
pagoda -q -s deep seal below || fail "seal of the deepest"
pagoda -s deep export below - | cmp - base || fail "other bytes of the deepest draft"

# file systems that do not keep holes
[ "$(id -u)" = 0 ] || exit 0
mkdir plain
mount -t ramfs ramfs plain 2>/dev/null || exit 0
mounted "$work/plain"
expect 6 pagoda export --diff piped plain/diff 2>err
expect_text "plain/diff: its file system does not keep holes and zero pages apart" err
[ -z "$(ls plain)" ] || fail "left: $(ls plain)"
cp diff plain/diff
expect 6 pagoda import refused plain/diff --parent base --diff 2>err
expect_text "plain/diff has 4194304 bytes of data in blocks for" err

# blocks smaller than a page: a page is changed as a whole, or not
command -v mkfs.ext4 >/dev/null || exit 0
truncate -s 8M disk
mkfs.ext4 -q -b 1024 disk && mkdir small && mount -o loop disk small 2>/dev/null || exit 0
mounted "$work/small"
for part in 6:2 8:1; do
	rm -f small/diff
	truncate -s 4M small/diff
	dd if=/dev/urandom of=small/diff bs=1024 seek=${part%:*} count=${part#*:} conv=notrunc status=none
	expect 6 pagoda import refused small/diff --parent base --diff 2>err
	expect_text "the data from byte $((${part%:*} * 1024)) to" err
	expect_text "begins or ends within a page" err
done
# cp would make holes of its zero pages
rm small/diff
truncate -s 4M small/diff
diff-file merge diff small/diff
pagoda -q import small small/diff --parent base --diff || fail "a diff in small blocks"
[ "$(info small layer_digest)" = "$(info piped layer_digest)" ] || fail "another layer came of small blocks"
