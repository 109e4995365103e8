#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# --fill installs everything while the machine runs, then lets go of it: it needs
# the handler no more.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
make_image image 16

start_handler socket image --once --fill 2>log
start_client -i image -s socket --wait -n 20000 -t 4 --all
expect_end 0 "$handler_pid"
expect_text filled log
go_on
expect_right

# removals and faults race with the filling
for i in 1 2 3 4 5 6 7 8; do
	start_handler socket image --once --fill 2>log
	expect 0 "$client" -i image -s socket -n 5000 -t 4 --regions 3 --all
	expect_end 0 "$handler_pid"
done
