#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# 10,000 open files and a store of 100,000 snapshots: bounded memory, no entry
# twice, none lost.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
probe=$top_builddir/tests/view-probe

# resident KiB of the daemon
resident() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/"$1"/status; }

"$probe" image one.img 100 8
pagoda -s store init || fail "init"
pagoda -s store import one one.img >/dev/null || fail "import"

say "10,000 handles"
mount_store store view
pid=$("$probe" pid view)
ulimit -n 10100 || skip "cannot open 10,000 files"
before=$(resident "$pid")
"$probe" handles view/one/mem 10000 || fail "handles"
after=$(resident "$pid")
[ $((after - before)) -lt 32768 ] || fail "10,000 handles took $((after - before)) KiB"
pagoda umount view || fail "umount"

say "100,000 snapshots"
"$top_builddir/tests/index-sql" store/index.db "
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
	INSERT INTO snapshot (name, size, page_size, state, created_ns, digest, layer_digest)
	SELECT 'many-' || i, 4096, 4096, 2, 0, zeroblob(16), zeroblob(16) FROM n" || fail "SQL"
mount_store store view
pid=$("$probe" pid view)
before=$(resident "$pid")
ls -U view >listing
after=$(resident "$pid")
[ "$(wc -l <listing)" = 100000 ] || fail "$(wc -l <listing) entries"
[ "$(sort -u listing | wc -l)" = 100000 ] || fail "an entry is there twice"
[ $((after - before)) -lt 16384 ] || fail "the listing took $((after - before)) KiB"
same one.img view/one/mem
pagoda -s store ls >listing || fail "ls"
[ "$(wc -l <listing)" = 100001 ] || fail "ls printed $(wc -l <listing) lines"
pagoda -s store gc >out || fail "gc of 100,000 snapshots"
expect_text "gave back 0 B: 0 pages and 0 packs" out
same one.img view/one/mem
