#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Regions of 2 MiB pages are served in 2 MiB units, removals included.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
requires_root

pool=/proc/sys/vm/nr_hugepages
before=$(cat $pool)
pool_restore() { # keeps the exit code for cleanup
	set -- $?
	echo "$before" >$pool
	return "$1"
}
trap 'pool_restore; cleanup' EXIT
echo $((before + 16)) >$pool 2>/dev/null
[ "$(cat $pool)" -ge $((before + 16)) ] || skip "needs 16 huge pages"

make_image image 16
truncate -s 28M image # the last pages are holes as a whole
start_handler socket image --once 2>log
"$client" -i image -s socket --huge --regions 2 -n 2000 -t 4 --all
got=$?
[ $got -ne 77 ] || skip "needs huge pages for userfaultfd"
[ $got -eq 0 ] || fail "client: $got: $(cat log)"
expect_end 0 "$handler_pid"
