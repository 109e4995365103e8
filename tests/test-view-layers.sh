#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Layers in the view: mem is all of them, diff is one, maps says whose each range is;
# and zeros over what the parent has stay zeros, wherever one looks.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH

PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail init
# put IMAGE FIRST COUNT SOURCE
put() { head -c $(($3 * 4096)) "$4" | dd of="$1" bs=4096 seek="$2" conv=notrunc status=none; }

# pages 0-9 and 20-29 of data, 32 in all
truncate -s 131072 monday
put monday 0 10 /dev/urandom
put monday 20 10 /dev/urandom
cp monday tuesday
put tuesday 4 2 /dev/zero    # zeros over data
put tuesday 12 2 /dev/urandom # data over zeros
put tuesday 22 2 /dev/urandom # data over data
cp tuesday wednesday
put wednesday 5 1 /dev/urandom # over the zeros of Tuesday
put wednesday 13 1 /dev/zero	# over the data of Tuesday
put wednesday 29 1 /dev/urandom
pagoda -q import monday monday || fail "import monday"
pagoda -q import tuesday tuesday --parent monday || fail "import tuesday"
diff-file make tuesday wednesday wednesday.diff
pagoda -q import wednesday wednesday.diff --parent tuesday --diff || fail "import wednesday"

mount_store store view
for day in monday tuesday wednesday; do
	same view/$day/mem $day
	pagoda -q export --diff $day $day.diff || fail "export --diff $day"
	same view/$day/diff $day.diff
	diff-file holes view/$day/diff >holes
	diff-file holes $day.diff | cmp - holes || fail "$day: holes of diff: $(cat holes)"
	[ "$(stat -c %b view/$day/diff)" = "$(stat -c %b $day.diff)" ] || fail "$day: blocks of diff"
	diff-file holes view/$day/mem >$day.holes
done
printf '4 2\n12 2\n22 2\n' >wanted
diff-file holes view/tuesday/diff | cmp - wanted || fail "$(diff-file holes view/tuesday/diff)"
printf '5 1\n13 1\n29 1\n' >wanted
diff-file holes view/wednesday/diff | cmp - wanted || fail "$(diff-file holes view/wednesday/diff)"
# in mem zeros are holes, whoever says so
printf '0 4\n6 4\n12 2\n20 10\n' | cmp - tuesday.holes || fail "$(cat tuesday.holes)"
printf '0 4\n5 5\n12 1\n20 10\n' | cmp - wednesday.holes || fail "$(cat wednesday.holes)"

cat >wanted <<-'end'
	000000000000-000000004000 data monday
	000000004000-000000005000 zero tuesday
	000000005000-000000006000 data wednesday
	000000006000-00000000a000 data monday
	00000000a000-00000000c000 zero monday
	00000000c000-00000000d000 data tuesday
	00000000d000-00000000e000 zero wednesday
	00000000e000-000000014000 zero monday
	000000014000-000000016000 data monday
	000000016000-000000018000 data tuesday
	000000018000-00000001d000 data monday
	00000001d000-00000001e000 data wednesday
	00000001e000-000000020000 zero monday
end
cat view/wednesday/maps >maps || fail "cat maps"
same maps wanted
# a layer goes by its name of today
pagoda -q rename tuesday renamed || fail rename
sed s/tuesday/renamed/ wanted >wanted.renamed
cat view/wednesday/maps >maps || fail "cat maps"
same maps wanted.renamed

# what the view shows as a diff is one: merged as a rebase tool does, and imported
cp monday merged
diff-file merge view/renamed/diff merged
same merged tuesday
diff-file merge view/wednesday/diff merged
same merged wednesday
pagoda -q import again view/wednesday/diff --parent renamed --diff || fail "import of the view's diff"
for field in digest layer_digest; do
	[ "$(json-get view/again/info.json snapshot $field)" = "$(json-get view/wednesday/info.json snapshot $field)" ] ||
		fail "$field changed on the way"
done

# tar copies a diff as it is; cp, which makes holes of zeros, does not
mkdir unpacked
tar -C view/renamed -cSf - diff | tar -C unpacked -xf - || fail tar
diff-file holes unpacked/diff >holes
diff-file holes view/renamed/diff | cmp - holes || fail "tar copied other holes: $(cat holes)"

# nothing but zeros, over all of it
truncate -s 131072 nothing
pagoda -q import nothing nothing --parent wednesday || fail "import nothing"
same view/nothing/mem nothing
[ -z "$(diff-file holes view/nothing/mem)" ] || fail "mem of nothing has data"
printf '0 4\n5 5\n12 1\n20 10\n' >wanted
diff-file holes view/nothing/diff | cmp - wanted || fail "$(diff-file holes view/nothing/diff)"
cmp view/nothing/diff nothing || fail "diff of nothing has other bytes than zeros"
cp wednesday merged
diff-file merge view/nothing/diff merged
same merged nothing
pagoda umount view || fail umount
pagoda -q check --read-data || fail check

# without its parent a layer is an error, not zeros
index-sql store/index.db "UPDATE snapshot SET parent = 77 WHERE name = 'renamed'" || fail index-sql
mount_store store view
for name in renamed wednesday; do
	cat view/$name/mem >read 2>err && fail "$name without its parent is read"
	expect_text "Input/output error" err
	[ ! -s read ] || fail "$name without its parent gave bytes"
done
same view/monday/mem monday
pagoda umount view || fail umount
