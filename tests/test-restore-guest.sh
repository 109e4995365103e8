#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole path with a real guest's memory: guest-a imported, mounted, and served
# from the view to a machine whose eight threads touch, compare and give back its
# pages; at the end every byte of it is compared.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_userfaultfd
requires_image guest-a

pagoda -s store init >/dev/null || fail "init"
pagoda -s store import a guest-a.mem || fail "import"
mount_store store view
start_handler socket view/a --once --stats=stats.json
"$client" -i guest-a.mem -s socket -t 8 -n 100000 --all || fail "the machine saw a wrong byte"
wait "$handler_pid" || fail "the handler ended with $?"
ended "$handler_pid"
cat stats.json
# what was served came from the view, and left it as it is
same view/a/mem guest-a.mem
pagoda umount view || fail "umount"
