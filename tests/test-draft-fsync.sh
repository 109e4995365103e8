#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a sync of a draft costs: of a few pages one flush, of many two.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_program strace
PATH=$top_builddir/tests:$PATH
PAGODA_STORE=$work/store
export PAGODA_STORE

head -c 4M /dev/urandom >base.img
pagoda -q init || fail "init"
pagoda -q import base base.img || fail "import"
pagoda -q fork base draft || fail "fork"
mkdir view
mounted "$work/view"
strace -f -qq -o trace -e trace=fsync,fdatasync "$pagodafs" -f store view 2>log &
daemon=$!
started $daemon
view-probe wait-view view || {
	cat log >&2
	skip "strace cannot trace here"
}

# flushes COMMAND...: how many there were in the daemon while it ran, in $flushes
flushes() {
	before=$(grep -cE 'sync.*= 0' trace)
	"$@" || fail "$*"
	flushes=$(($(grep -cE 'sync.*= 0' trace) - before))
}
few() {
	dd if=/dev/urandom of=view/draft/mem bs=4096 count=40 oflag=dsync conv=notrunc status=none
}
many() {
	dd if=/dev/urandom of=view/draft/mem bs=1M count=1 conv=notrunc,fsync status=none
}

exec 8<>view/draft/mem
few || fail "dd"
flushes few
say "40 syncs of a page: $flushes flushes"
# one each, and those of a checkpoint
[ "$flushes" -ge 40 ] && [ "$flushes" -le 46 ] || fail "$flushes flushes"
many || fail "dd" # makes the pack
flushes many
say "a sync of 256 pages: $flushes flushes"
[ "$flushes" -le 2 ] || fail "$flushes flushes"
exec 8>&-
