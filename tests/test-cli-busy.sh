#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What is open is not removed: the error names who has it, and its death ends it.
. "${srcdir:-.}/tests/functions.sh"

PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail init
head -c 4194304 /dev/urandom >image
pagoda -q import held image || fail import
pagoda -q import free image || fail import

# an export to a pipe nobody reads on from has the snapshot open
mkfifo pipe
"$top_builddir/pagoda" export held - >pipe 2>/dev/null &
reader=$!
started $reader
exec 5<pipe
dd bs=4096 count=1 status=none of=/dev/null <&5

expect 5 pagoda rm held 2>err
expect_text "rm held: " err
expect_text "in use by pagoda export held" err
expect_text "$reader" err
expect 5 pagoda rm --dry-run held 2>/dev/null
pagoda -q info held >/dev/null || fail "it was removed all the same"
# everything else goes on meanwhile
pagoda -q rm free || fail "rm of another one"
pagoda -q rename held renamed || fail rename
pagoda -q note renamed 'still open' || fail note
pagoda -q check --read-data || fail check
expect 4 pagoda rm held 2>/dev/null

# who dies lets go
kill -KILL $reader
wait $reader 2>/dev/null
ended $reader
exec 5<&-
pagoda -q rm renamed || fail "rm after its holder has died"
