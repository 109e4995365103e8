#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a view does not do has the errno of a file system, at once; a sealed file
# opened for writing stays as it is.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe

"$probe" image one.img 100 4
head -c 5000 one.img >vmstate.in
pagoda -s store init || fail "init"
pagoda -s store import one one.img --vmstate vmstate.in >/dev/null || fail "import"
mount_store store view
"$probe" refuse view one || fail "refused calls"
for file in mem diff vmstate; do
	"$probe" sealed view/one/$file || fail "$file opened for writing"
done
dd if=one.img of=view/one/mem conv=notrunc status=none 2>out && fail "dd wrote to a sealed mem"
expect_text "Read-only file system" out
cp one.img view/one/info.json 2>out && fail "cp wrote to info.json"
expect_text "Read-only file system" out
same one.img view/one/mem
same vmstate.in view/one/vmstate
"$probe" map view/one/mem one.img || fail "maps afterwards"
