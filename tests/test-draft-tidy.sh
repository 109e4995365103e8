#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A draft that is written over and over through a view does not grow without bound:
# the daemon collects what was replaced, and the view shows the last of it.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse

PAGODA_STORE=$work/store
export PAGODA_STORE
pages=1024
rounds=40
head -c $((pages * 4096)) /dev/urandom >base.mem
pagoda -q init && pagoda -q import base base.mem && pagoda -q fork base draft || fail "setting up"
mount_store store view
exec 5<>view/draft/mem # a writer stays, so that no close of the last one stores
for round in $(seq $rounds); do
	head -c $((pages * 4096)) /dev/urandom >image
	dd if=image of=view/draft/mem bs=1M conv=notrunc,fsync status=none || fail "round $round"
done
same view/draft/mem image
exec 5>&-
pagoda umount view || fail "umount"
mib=$(($(du -sk store/packs | cut -f 1) / 1024))
[ $mib -lt $((rounds * pages / 256 / 3)) ] ||
	fail "$mib MiB of packs for two images of $((pages / 256)) MiB"
say "$mib MiB of packs after $((rounds * pages / 256)) MiB were written"
pagoda -q export draft exported && same exported image
pagoda -q check --read-data || fail "check"
