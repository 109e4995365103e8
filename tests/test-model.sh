#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The model test: operations picked at random (write, write through a map, punch, zero
# range, truncate, fsync, fork, seal, import over a parent and of diffs, rm, gc, remount,
# kill -9 of pagodafs) are done to the view and to plain files beside it, and both are
# compared after each, byte by byte, with their maps of data and holes. After a kill
# what was synced is there, and each page is one it once was. PAGODA_SEED repeats a run;
# PAGODA_MODEL_TRACE=1 tells each operation; PAGODA_MODEL_OPERATIONS=N does N.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse

operations=2000
[ -z "${PAGODA_LONG:-}" ] || operations=50000
operations=${PAGODA_MODEL_OPERATIONS:-$operations}
seed=${PAGODA_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
say "seed $seed, $operations operations"

pagoda -q -s store init || fail init
mkdir mnt plain
mounted "$work/mnt"
"$top_builddir/tests/model" "$work/store" "$work/mnt" "$work/plain" "$seed" "$operations" ||
	fail "the view and the model differ, or the model did not do what it should"
pagoda -q -s store check --read-data || fail "check"
