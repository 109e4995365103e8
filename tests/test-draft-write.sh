#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A draft is written through the view: every way to change a file, compared with a
# plain file; what has no meaning has its errno; what is stored is what was written.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
PATH=$top_builddir/tests:$PATH
seed=${PAGODA_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
say "seed $seed"

head -c 6M /dev/urandom >base.img
truncate -s 16M base.img
PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail "init"
pagoda -q import base base.img || fail "import"
for name in plain maps zero edges; do
	pagoda -q fork base $name || fail "fork"
done
mkdir view
mounted "$work/view"
"$pagodafs" store view 2>log || fail "mount"

say "as a plain file"
cp base.img copy
draft-probe random view/plain/mem copy "$seed" || fail "random changes"
same view/plain/mem copy
same view/base/mem base.img
pagoda export plain exported || fail "export"
same exported copy
draft-probe random view/plain/mem copy "$((seed + 1))" || fail "more random changes"

say "maps"
draft-probe maps view/maps/mem || fail "maps"

say "edges"
draft-probe edges view/edges/mem || fail "edges"

say "zero"
draft-probe zero view/zero/mem || fail "truncation to nothing"
pagoda --json info zero >info || fail "info"
[ "$(json-get info snapshot layer_zero_pages)" = 4096 ] || fail "not every page is an explicit zero page"
[ "$(json-get info snapshot data_pages)" = 0 ] || fail "there is data"

say "vmstate"
[ -e view/plain/vmstate ] || fail "a draft has no vmstate"
seq 20000 >state
cp state view/plain/vmstate || fail "cp to vmstate"
same state view/plain/vmstate
echo end >>view/plain/vmstate || fail "appending"
echo end >>state
same state view/plain/vmstate
echo short >view/plain/vmstate
[ "$(cat view/plain/vmstate)" = short ] || fail "a shorter vmstate"

say "after all that the store is right"
pagoda umount view || fail "umount"
[ ! -s log ] || fail "messages: $(cat log)"
pagoda -q check --read-data || fail "check"
pagoda export plain exported || fail "export"
same exported copy
mount_store store view
same view/plain/mem copy
[ "$(cat view/plain/vmstate)" = short ] || fail "vmstate after a new mount"
[ "$(stat -c %a view/plain/mem)" = 640 ] || fail "mode of a draft"
pagoda -q seal plain || fail "seal"
same view/plain/mem copy
[ "$(stat -c %a view/plain/mem)" = 440 ] || fail "mode of what was sealed"
[ "$(cat view/plain/vmstate)" = short ] || fail "vmstate after the seal"
pagoda -q check --read-data || fail "check after seal"
