#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A machine whose memory cannot be served is dead or frozen; it never reads a
# byte that is not its own. Others go on.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd

cut_image() {
	rm -f image
	make_image image 4
	cp --sparse=always image whole
}

# The file is cut under the handler: exit 1, and the machine is killed. Also when it
# has kept no descriptor of its own, so that the handler's is the last.
for keep in '' --close-uffd; do
	cut_image
	start_handler socket image --once 2>log
	start_client -i whole -s socket --wait --all $keep
	truncate -s 2M image
	go_on
	expect_end 137 "$client_pid"
	expect_end 1 "$handler_pid"
	expect_logged 'source-failed' log
	expect_logged 'killed' log
done

# freeze: it stands still until someone else ends it
cut_image
start_handler socket image --once --on-failure=freeze 2>log
start_client -i whole -s socket --wait --all
truncate -s 2M image
go_on
expect_logged frozen log
"$await" $patience state "$client_pid" T || fail "the machine is not stopped"
kill -0 "$handler_pid" || fail "the handler did not wait"
kill -KILL "$client_pid"
expect_end 137 "$client_pid"
expect_end 1 "$handler_pid"

# Written to between two machines: what was looked up of the file says nothing any more.
make_image image 2
start_handler socket image 2>log
"$client" -i image -s socket --all || fail "the machine before"
dd if=/dev/urandom of=image bs=1M count=2 conv=notrunc status=none || fail "cannot write image"
expect 137 "$client" -i image -s socket --doomed --close-uffd
expect_logged 'source-failed: image was written to' log
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

# A fault in no region is the end of that machine only, and so is the death of its
# worker.
cut_image
start_handler socket image 2>log
start_client -i image -s socket --wait -n 5000 --all
expect_workers 1 "$handler_pid"
bystander=$(workers_of "$handler_pid")
expect 137 "$client" -i image -s socket --stray --all
expect_logged 'fault-outside-regions' log
"$client" -i image -s socket --wait <client.in >victim.out 2>/dev/null &
victim=$!
started $victim
expect_workers 2 "$handler_pid"
for worker in $(workers_of "$handler_pid"); do
	# standard error, the source, its userfaultfd, its process, the channel to the keeper
	# and the two events of its crew: nothing of the others
	[ "$(id -u)" != 0 ] || expect_fds 7 "$worker"
	[ "$worker" -eq "$bystander" ] || kill -KILL "$worker"
done
expect_end 137 $victim
expect_logged 'worker-died' log
go_on
expect_right

# The keeper may die: workers serve on.
start_client -i image -s socket --wait -n 5000 --all
expect_workers 1 "$handler_pid"
kill -KILL "$handler_pid"
expect_end 137 "$handler_pid"
go_on
expect_right

# ... and hold a machine that they cannot serve until it is dead.
cut_image
start_handler socket image 2>log
start_client -i whole -s socket --wait --all --close-uffd
expect_workers 1 "$handler_pid"
kill -KILL "$handler_pid"
expect_end 137 "$handler_pid"
truncate -s 2M image
go_on
if [ "$(id -u)" = 0 ]; then
	# the worker has given up the right to kill it: it hangs, and reads nothing
	expect_logged 'kill it by hand' log
	kill -0 "$client_pid" || fail "the machine ended by itself: $(cat client.err)"
	kill -KILL "$client_pid"
fi
expect_end 137 "$client_pid"
! grep -q WRONG client.err || fail "the machine has read wrong bytes"
