#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# gc: space comes back, --dry-run tells how much, and nothing that is needed goes:
# beside imports, beside another gc, and killed at any moment.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH

PAGODA_STORE=$work/store
export PAGODA_STORE
kib() { du -sk store | cut -f 1; }
collected() { json-get out.json collected "$1"; }
noise() { head -c $(($1 * 4096)) /dev/urandom; }

# What two images share stays, and the rest of both goes.
noise 3000 >large.mem
noise 200 >own
{ head -c $((300 * 4096)) large.mem && cat own; } >small.mem
pagoda -q init || fail init
empty=$(kib)
pagoda -q import large large.mem && pagoda -q import small small.mem || fail import
full=$(kib)
pagoda -q rm large || fail rm
pagoda --json gc --dry-run >out.json || fail "gc --dry-run"
said=$(collected bytes)
[ "$(collected dry_run)" = true ] || fail "$(cat out.json)"
[ "$(collected pages)" = 2700 ] || fail "$(cat out.json)"
[ "$(collected packs_rewritten)" = 1 ] || fail "$(cat out.json)"
before=$(kib)
pagoda --json gc >out.json || fail gc
[ "$(collected bytes)" = "$said" ] || fail "it said $said: $(cat out.json)"
after=$(kib)
say "$empty KiB empty, $full with both, $before after rm, $after after gc"
[ "$after" -le $((empty + 2200)) ] || fail "$after KiB for 500 pages"
[ $(((before - after) * 1024)) -ge $((said - 65536)) ] || fail "$said bytes were said, du went from $before to $after"
pagoda export small - | cmp - small.mem || fail "small is damaged"
pagoda -q check --read-data || fail check
pagoda gc >out || fail "gc again"
expect_text "gave back 0 B: 0 pages and 0 packs" out
pagoda -q rm small && pagoda -q gc || fail "rm and gc"
[ "$(kib)" -le $((empty + 8)) ] || fail "$(kib) KiB are left of $empty"
pagoda -q gc >out && [ ! -s out ] || fail "--quiet says something"
expect 2 pagoda gc store 2>/dev/null

# rm --dry-run says what rm and gc would give back
noise 300 >solo.mem
pagoda -q import solo solo.mem || fail import
pagoda --json rm -n solo >out.json || fail "rm --dry-run"
said=$(json-get out.json removed bytes)
before=$(kib)
pagoda -q rm solo && pagoda -q gc || fail "rm and gc"
[ "$said" -ge $((300 * 4096)) ] || fail "it said $said: $(cat out.json)"
[ $(((before - $(kib)) * 1024)) -ge $((said - 16384)) ] || fail "it said $said, $before KiB became $(kib)"

# Beside imports that share, and snapshots that go; two at a time: one is refused.
noise 1500 >base.mem
pagoda -q import keep base.mem || fail import
import_loop() {
	i=0
	while [ ! -e stop ]; do
		{ head -c $((i % 20 * 40960)) base.mem && head -c 409600 own; } >image.mem
		"$top_builddir/pagoda" -q import "loop-$i" image.mem || exit 1
		"$top_builddir/pagoda" export "loop-$i" - | cmp - image.mem || exit 1
		"$top_builddir/pagoda" -q rm "loop-$i" || exit 1
		i=$((i + 1))
	done
	echo "$i" >imported
}
gc_loop() {
	i=0
	busy=0
	while [ ! -e stop ]; do
		"$top_builddir/pagoda" -q gc 2>gc.err.$1
		got=$?
		case $got in
		0) ;;
		5) busy=$((busy + 1)) && grep -q "does so already" gc.err.$1 || exit 1 ;;
		*) cat gc.err.$1 >&2 && exit 1 ;;
		esac
		i=$((i + 1))
	done
	echo "$i $busy" >gcs.$1
}
import_loop &
importer=$!
started $importer
gc_loop 1 &
gc_1=$!
started $gc_1
gc_loop 2 &
gc_2=$!
started $gc_2
rounds=15
[ -z "${PAGODA_LONG:-}" ] || rounds=300
round=0
while [ $round -lt $rounds ]; do
	{ head -c $((round % 30 * 81920)) base.mem && noise 200; } >next.mem
	pagoda -q import next next.mem || fail "import beside gc"
	pagoda export keep - | cmp - base.mem || fail "round $round: keep has changed"
	pagoda export next - | cmp - next.mem || fail "round $round: next has changed"
	pagoda -q rm next || fail rm
	round=$((round + 1))
done
: >stop
for pid in $importer $gc_1 $gc_2; do
	wait $pid || fail "a loop beside has failed"
	ended $pid
done
say "beside: $(cat imported) imports; collections and of those refused: $(cat gcs.1), $(cat gcs.2)"
pagoda -q gc || fail gc
pagoda -q check --read-data || fail "check after the loops"
[ "$(kib)" -le $((empty + 6400)) ] || fail "$(kib) KiB for 1500 pages"

# Killed at any moment: check is clean, and the next one finishes.
by_chance 20 200
killed=0
round=0
while [ $round -lt $rounds ]; do
	noise 800 >dead.mem
	{ head -c 409600 dead.mem && head -c 40960 own; } >alive.mem
	pagoda -q import dead dead.mem && pagoda -q import alive alive.mem && pagoda -q rm dead || fail import
	"$top_builddir/pagoda" -q gc 2>/dev/null &
	pid=$!
	started $pid
	dawdle 20000
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	[ $? -eq 0 ] || killed=$((killed + 1))
	ended $pid
	pagoda -q check --read-data || fail "round $round: check after a kill"
	pagoda export alive - | cmp - alive.mem || fail "round $round: alive is damaged"
	pagoda -q gc || fail "round $round: gc after a kill"
	pagoda -q check --read-data || fail "round $round: check after gc"
	pagoda export alive - | cmp - alive.mem || fail "round $round: alive is damaged by gc"
	rows=$(index-sql store/index.db 'SELECT count(*) FROM pack')
	files=$(find store/packs -name '*.pack' | wc -l)
	[ "$rows" -eq "$files" ] || fail "round $round: $files pack files, $rows rows"
	pagoda -q rm alive || fail rm
	round=$((round + 1))
done
say "$killed of $rounds were killed"
[ $killed -ge $((rounds / 4)) ] || fail "only $killed kills hit"
pagoda -q gc || fail gc
pagoda export keep - | cmp - base.mem || fail "keep has changed"
[ "$(kib)" -le $((empty + 6400)) ] || fail "$(kib) KiB for 1500 pages"
