#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What may be imported: files with holes, pipes, what a VMM wrote; two at once.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH

PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail init
info() { pagoda --json info "$1" | json-get - snapshot "$2"; }
comes_back() {
	pagoda export "$1" - >back || fail "export $1"
	same back "$2"
}

# a file with holes: only its data is read, and 64 GiB take no time
head -c 1048576 /dev/urandom >data
truncate -s 64G holes
dd if=data of=holes bs=1M seek=40000 conv=notrunc status=none
pagoda -q import holes holes || fail "an image with holes"
[ "$(info holes size)" = 68719476736 ] || fail "size $(info holes size)"
[ "$(info holes data_pages)" = 256 ] || fail "$(info holes data_pages) pages of data"
pagoda -q export holes holes.back || fail "export of holes"
[ "$(du -k holes.back | cut -f1)" -le 1100 ] || fail "holes were written out: $(du -k holes.back)"
dd if=holes.back bs=1M skip=40000 count=1 status=none | cmp - data || fail "other data came back"

# a pipe has no holes and no size
cat data | pagoda -q import pipe - || fail "a pipe"
comes_back pipe data
[ "$(info pipe stored_pages)" = 0 ] || fail "equal pages were stored twice"
mkfifo fifo
cat data >fifo &
pagoda -q import fifo fifo || fail "a named pipe"
comes_back fifo data
# a pipe that ends early is only a short image; one that ends within a page is refused
head -c 8192 data | pagoda -q import short - || fail "a short pipe"
[ "$(info short size)" = 8192 ] || fail "size $(info short size)"

# the machine state is kept as it is, of any length, from a pipe too
head -c 3000001 /dev/urandom >state
pagoda -q import with-state data --vmstate state || fail "--vmstate"
[ "$(info with-state vmstate_bytes)" = 3000001 ] || fail "vmstate of $(info with-state vmstate_bytes)"
: >none
pagoda -q import with-empty data --vmstate none || fail "an empty machine state"
[ "$(info with-empty vmstate_bytes)" = 0 ] || fail "no empty machine state is kept"
pagoda -q import with-pipe data --vmstate - <state || fail "--vmstate -"
[ "$(info with-pipe vmstate_bytes)" = 3000001 ] || fail "vmstate of $(info with-pipe vmstate_bytes)"

# --from-dir: the pair of one VMM
pair() {
	rm -rf pair
	mkdir pair
	for file; do
		case $file in
		mem* | *mem | snapshot_mem) cp data "pair/$file" ;;
		*) cp state "pair/$file" ;;
		esac
	done
}
n=0
for files in "mem vmstate" "mem_file snapshot_file" "vm.mem vm.vmstate" "memfile snapfile" \
	"snapshot_mem snapshot" "memory vmstate" "memory-ranges state.json config.json"; do
	n=$((n + 1))
	# shellcheck disable=SC2086 # words
	pair $files
	pagoda -q import pair-$n --from-dir pair || fail "a directory with $files"
	comes_back pair-$n data
	[ "$(info pair-$n vmstate_bytes)" = 3000001 ] || fail "no machine state of $files"
done
refused_pair() {
	words=$1
	shift
	pair "$@"
	expect 6 pagoda import pair --from-dir pair 2>err
	expect_text "$words" err
}
refused_pair "no memory file in pair: looked for mem, " vmstate
refused_pair "memory-ranges (Cloud Hypervisor)" vmstate
refused_pair "no machine state in pair: looked for vmstate, " mem
refused_pair "holds both mem and mem_file" mem mem_file vmstate
refused_pair "holds both vmstate and snapshot" mem vmstate snapshot
refused_pair "holds both mem and memory-ranges" mem vmstate memory-ranges state.json
refused_pair "mem is of Firecracker, but state.json is of Cloud Hypervisor" mem state.json

# two imports at once: each is complete
head -c 4194304 /dev/urandom >one
head -c 4194304 /dev/urandom >two
pagoda -q import one one &
first=$!
pagoda -q import two two || fail "the second of two at once"
wait $first || fail "the first of two at once"
comes_back one one
comes_back two two

# two of the same name: one wins, the other is told why
mkfifo slow
pagoda -q import same slow 2>/dev/null &
first=$!
started $first
exec 5>slow
# the importer holds its name once the store has a row of it
until [ "$(index-sql store/index.db "SELECT count(*) FROM snapshot WHERE name = 'same'")" = 1 ]; do
	kill -0 $first 2>/dev/null || fail "the slow import ended"
done
expect 5 pagoda import same data 2>err
expect_text "'same' is being imported by another process" err
expect 4 pagoda info same 2>/dev/null
cat data >&5
exec 5>&-
wait $first || fail "the slow import"
ended $first
comes_back same data
expect 6 pagoda import same data 2>err

pagoda -q check --read-data || fail "check"
