#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One machine can only lose its own session: eight others compare, write and remove
# their memory all the while hostile ones play (tests/hostile.c), and the keeper is
# left as it was.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
make_image image 4

start_handler socket image 2>log
fds=$(fds_at_rest "$handler_pid")
bystanders_start 8 image socket
expect_workers 8 "$handler_pid"
expect_fds $((fds + 24)) "$handler_pid"
"$top_builddir/tests/hostile" -s socket -i image --handler "$handler_pid" --log log
got=$?
[ $got -ne 77 ] || skip "needs userfaultfd with events"
[ $got -eq 0 ] || fail "hostile: $got"
expect_workers 8 "$handler_pid"
bystanders_right
expect_workers 0 "$handler_pid"
expect_fds "$fds" "$handler_pid"
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
! grep -q 'worker-died' log || fail "a worker has died: $(cat log)"
