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
expect_fds $((fds + 32)) "$handler_pid"
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

# There is always room for the descriptors of a message: of those that the kernel can
# put nowhere it closes the last copy. So only as many machines are served as leave it.
ulimit -n 345 || fail "ulimit"
start_handler socket image --stats=stats.json 2>log
bystanders_start 3 image socket
"$top_builddir/tests/hostile" -s socket -i image --handler "$handler_pid" --log log \
	--only '253 with a userfaultfd' || fail "hostile: $(cat log)"
start_client -i image -s socket --wait --all
"$client" -i image -s socket -t 1 --steady --all >fifth 2>&1 &
fifth=$!
started $fifth
"$await" $patience text fifth steady || fail "the fifth machine"
"$client" -i image -s socket -t 1 --wait --all >sixth 2>&1 </dev/null &
sixth=$!
started $sixth
"$await" $patience text sixth connected || fail "the sixth machine"
# when the keeper has answered twice it has had a turn in which it could accept
for turn in 1 2; do
	rm stats.json
	kill -USR1 "$handler_pid"
	expect_logged '"connections": 7' stats.json
done
expect_workers 5 "$handler_pid"
go_on
expect_right
expect_end 0 $sixth
kill -TERM $fifth
expect_end 0 $fifth
bystanders_right
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
