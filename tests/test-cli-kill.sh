#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 of an import at random moments: in the midst of its image, and after the
# last byte of it. The store opens, the snapshot is complete or not there, check is
# clean, the next import works, and what was left over is swept.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH

by_chance 50 1000

PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail init
mkfifo pipe
pages=2048
# what every third one is a layer over
head -c $((pages * 4096)) /dev/urandom >base
pagoda -q import base base || fail "import base"
begun=0
complete=0
midway=0

round() {
	parent=
	if [ $(($1 % 3)) -eq 0 ]; then
		parent="--parent base"
		cp base image
		head -c 3000000 /dev/urandom | dd of=image bs=4096 seek=$(($1 % 1000)) conv=notrunc status=none
	else
		head -c $((pages * 4096)) /dev/urandom >image
	fi
	# shellcheck disable=SC2086 # words
	"$top_builddir/pagoda" -q import "round-$1" - $parent <pipe 2>/dev/null &
	importer=$!
	started $importer
	exec 5>pipe
	if [ $(($1 % 2)) -eq 0 ]; then
		next_random $((pages * 4096))
		head -c "$random" image >&5
		midway=$((midway + 1))
	else
		cat image >&5
		exec 5>&-
		# as long as what is left to be done may take, and longer
		dawdle 60000
	fi
	kill -KILL $importer 2>/dev/null
	wait $importer 2>/dev/null
	ended_with=$?
	ended $importer
	exec 5>&-
}

verify() {
	pagoda ls >ls || fail "round $1: the store does not open"
	if pagoda info "round-$1" >/dev/null 2>&1; then
		complete=$((complete + 1))
		pagoda export "round-$1" - | cmp - image || fail "round $1: half a snapshot is listed"
		pagoda -q rm "round-$1" || fail "round $1: rm"
	elif [ "$ended_with" -eq 0 ]; then
		fail "round $1: the import said that it is done, and the snapshot is not there"
	else
		begun=$((begun + 1))
	fi
	pagoda -q check || fail "round $1: check"
}

i=0
while [ $i -lt $rounds ]; do
	round $i
	verify $i
	i=$((i + 1))
done
say "$begun not there, $complete complete, $midway of all killed in the midst of the image"
[ $begun -ge $((rounds / 4)) ] || fail "only $begun kills hit an import"

pagoda -q rm base || fail "what was cut off still needs its parent"
pagoda -q import after image || fail "a new import"
pagoda export after - | cmp - image || fail "the new import differs"
pagoda -q check --read-data || fail "check --read-data"
[ "$(index-sql store/index.db 'SELECT count(*) FROM snapshot')" = 1 ] || fail "rows were not swept"
rows=$(index-sql store/index.db 'SELECT count(*) FROM pack')
files=$(find store/packs -name '*.pack' | wc -l)
[ "$rows" -eq "$files" ] || fail "$files pack files, but $rows are known: they were not swept"
