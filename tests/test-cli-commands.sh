#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What every command prints, for people and as JSON, when all is well.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH

# The value at the keys of the last document must be that: expect_json VALUE KEY...
expect_json() {
	wanted=$1
	shift
	found=$(json-get out.json "$@") || fail "no $* in: $(cat out.json)"
	[ "$found" = "$wanted" ] || fail "$* is '$found', not '$wanted'"
}
json() {
	pagoda --json "$@" >out.json 2>err || fail "exit $?: pagoda --json $*: $(cat out.json err)"
	[ ! -s err ] || fail "pagoda --json $* wrote to standard error: $(cat err)"
	expect_json 1 schema_version
	expect_json 2 '#'
}
text() {
	pagoda "$@" >out 2>err || fail "exit $?: pagoda $*: $(cat out err)"
	[ ! -s err ] || fail "pagoda $* wrote to standard error: $(cat err)"
}
# The whole output of the last command must be that.
expect_out() {
	printf '%s\n' "$@" | cmp -s - out || fail "printed: $(cat out)"
}

PAGODA_STORE=$work/store
export PAGODA_STORE

# 3 pages of data, 2 of them equal, and 5 of zeros
{
	head -c 4096 /dev/zero | tr '\0' a
	head -c 8192 /dev/zero
	head -c 8192 /dev/zero | tr '\0' b
	head -c 12288 /dev/zero
} >image
printf 'machine state' >state

text init
expect_out "made a store at $work/store"
json -s "$work/other" init
expect_json "$work/other" store path
json-get out.json store uuid | grep -qE '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' ||
	fail "no uuid: $(cat out.json)"
uuid=$(json-get out.json store uuid)
text -q -s "$work/third" init
[ ! -s out ] || fail "-q prints: $(cat out)"

text ls
expect_out "NAME  SIZE  DATA  STORED  STATE  PARENT  CREATED  NOTE"
json ls
expect_json 0 snapshots '#'

text import --vmstate state first image
grep -qE '^first: 32\.0 KiB, 2 pages stored \([0-9.]+ (B|KiB)\), 1 shared, 5 zero$' out ||
	fail "import printed: $(cat out)"
json import second --format raw image
expect_json second snapshot name
expect_json sealed snapshot state
expect_json 32768 snapshot size
expect_json 3 snapshot data_pages
expect_json 5 snapshot zero_pages
expect_json 0 snapshot stored_pages
expect_json 3 snapshot shared_pages
expect_json null snapshot vmstate_bytes

text note first 'before the upgrade'
expect_out "wrote the note of first"
json note second 'on the second day'
expect_json second noted name
expect_json 'on the second day' noted note
text --bytes ls
grep -qE '^first   32768  12288 +[0-9]+  sealed  -  +[0-9-]{10} [0-9:]{8}  before the upgrade$' out ||
	fail "ls printed: $(cat out)"
[ "$(wc -l <out)" -eq 3 ] || fail "ls printed: $(cat out)"
! grep -q ' $' out || fail "ls prints blanks at the end of a line"
# a control character that is UTF-8 is refused, and one that got into the index all
# the same does not reach the terminal
expect 6 pagoda note first "$(printf 'x\302\23331mred')" 2>err
index-sql store/index.db "UPDATE snapshot SET note = 'x' || char(155) || '31mred' WHERE id = 1" ||
	fail "SQL"
text ls
grep -qF 'x\xc2\x9b31mred' out || fail "ls printed: $(cat out)"
text note first ''
expect_out "took away the note of first"
json ls
expect_json 2 snapshots '#'
expect_json first snapshots 0 name
expect_json null snapshots 0 note
expect_json 13 snapshots 0 vmstate_bytes

text info second
for line in 'name        second' 'state       sealed' 'note        on the second day' \
	'size        32.0 KiB' 'data        3 pages (12.0 KiB)' 'zero        5 pages (20.0 KiB)' \
	'shared      3 pages (12.0 KiB)'; do
	grep -qxF "$line" out || fail "info does not print '$line': $(cat out)"
done
json info first
expect_json 13 snapshot vmstate_bytes
digest=$(json-get out.json snapshot digest)
json info second
expect_json "$digest" snapshot digest
json -s "$work/other" import one image
expect_json "$uuid" snapshot store_uuid
json -s "$work/other" rm one

text export first copy
expect_out "first: 32.0 KiB to copy"
same copy image
json export second copy2
expect_json second exported name
expect_json copy2 exported file
expect_json 32768 exported size
same copy2 image
text export first -
same out image
# the hole of an image is a hole of what is exported
[ "$(stat -c %b copy)" -le 32 ] || fail "$(stat -c %b copy) blocks: holes were written out"

text fork first branch
expect_out "branch is a draft on first"
json fork first other
expect_json other snapshot name
expect_json draft snapshot state
expect_json first snapshot parent
expect_json 32768 snapshot size
expect_json 13 snapshot vmstate_bytes
expect_json 0 snapshot layer_data_pages
text ls
grep -q '^branch .* draft  *first ' out || fail "ls does not show the draft: $(cat out)"
text seal branch
expect_out "branch is sealed: its layer has 0 B of data over first"
json seal other
expect_json sealed snapshot state
expect_json 13 snapshot vmstate_bytes
[ "$(json-get out.json snapshot digest)" = "$(pagoda --json info first | json-get - snapshot digest)" ] ||
	fail "what was not changed has another digest: $(cat out.json)"
text -q rm branch
text -q rm other

text rename second next
expect_out "second is now next"
json rename next second
expect_json next renamed from
expect_json second renamed to

# rows of pages: the stored ones, and aliases that keep runs together
text check
grep -qxE 'snapshots: 2, packs: 1, pages: [1-9], read: 0, findings: 0' out || fail "check: $(cat out)"
text check --read-data
grep -qxE 'snapshots: 2, packs: 1, pages: ([1-9]), read: \1, findings: 0' out ||
	fail "check --read-data: $(cat out)"
json check --read-data=100
expect_json "$(json-get out.json check pages)" check pages_read
expect_json 100 check read_percent
expect_json 0 check findings '#'

text rm --dry-run second
grep -qxE "would remove second: with 'pagoda gc' behind it that gives back [0-9.]+ (B|KiB)" out ||
	fail "rm --dry-run: $(cat out)"
json rm -n second
expect_json true removed dry_run
text info second
text rm second
expect_out "removed second"
json rm first
expect_json first removed name
expect_json false removed dry_run
json ls
expect_json 0 snapshots '#'

# the store: -s wins over the environment
text -s "$work/other" import here image
text --store="$work/other" info here
expect 4 pagoda info here 2>/dev/null
# options of every command may follow it
pagoda ls -s "$work/other" --json >out.json || fail "ls -s --json"
expect_json here snapshots 0 name

text --version
grep -qE '^pagoda [0-9]+\.[0-9]+\.[0-9]+$' out || fail "--version: $(cat out)"
json --version
text help
for command in init import export ls info check fork seal rename note rm mount umount serve; do
	grep -q "^  $command " out || fail "help does not list $command"
	pagoda help $command >one || fail "help $command"
	grep -q "^usage: pagoda $command" one || fail "help $command: $(cat one)"
	pagoda $command --help | cmp - one || fail "$command --help differs from help $command"
done
grep -q -- '--read-data' one && fail "help shows the options of another command"
pagoda help check | grep -q -- '--read-data\[=PERCENT\]' || fail "help check has no --read-data"
json help rm
