#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every way to read mem gives the image, and every tool sees its holes.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe

# data_bytes FILE: what it takes on disk, in 512-byte units
blocks() { stat -c %b "$1"; }

pagoda -s store init || fail "init"
mount_store store view
seed0=${SEED:-$(date +%s)}
say "seed $seed0"
for round in 1 2 3; do
	seed=$((seed0 + round))
	image=image.$seed
	"$probe" image $image $((round * 1111)) $seed
	pagoda -s store import s$seed $image >/dev/null || fail "import"
	mem=view/s$seed/mem
	same $image $mem
	same $image view/s$seed/diff
	"$probe" holes $mem $image mem || fail "holes of mem"
	"$probe" holes view/s$seed/diff $image diff || fail "holes of diff"
	"$probe" map $mem $image || fail "maps"

	cp --sparse=auto $mem copy || fail "cp"
	same $image copy
	[ "$(blocks copy)" -eq "$(blocks $mem)" ] || fail "cp made $(blocks copy) of $(blocks $mem) blocks"
	rm copy
	cp --sparse=always $mem copy || fail "cp --sparse=always"
	same $image copy
	dd if=$mem of=dd.out bs=1M status=none || fail "dd"
	same $image dd.out
	dd if=$mem of=dd.out bs=12345 skip=7 status=none || fail "dd at odd offsets"
	dd if=$image of=dd.want bs=12345 skip=7 status=none
	same dd.want dd.out
	dd if=$mem of=dd.out bs=1M iflag=direct status=none || fail "dd iflag=direct"
	same $image dd.out
	tar -C view/s$seed -S -cf s.tar mem || fail "tar"
	[ "$(stat -c %s s.tar)" -lt "$(stat -c %s $image)" ] || fail "tar saw no hole"
	mkdir out && tar -C out -xf s.tar || fail "tar -x"
	same $image out/mem
	rm -r out copy s.tar dd.out dd.want $image
done

say "many readers at once, nothing in the kernel's cache"
"$probe" image big.img 8192 "$seed0"
pagoda -s store import big big.img >/dev/null || fail "import"
readers=
for i in 1 2 3 4 5 6 7 8; do
	cmp big.img view/big/mem &
	readers="$readers $!"
done
for reader in $readers; do
	wait "$reader" || fail "a reader saw other bytes"
done
