#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# SIGTERM ends the machines or waits for them, as --on-stop says.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
make_image image 2

# kill, which is the default
start_handler socket image 2>log
start_client -i image -s socket --wait --all
kill -TERM "$handler_pid"
expect_end 137 "$client_pid"
expect_end 0 "$handler_pid"
expect_text stopped log
[ ! -e socket ] || fail "the socket is still there"

# drain: nobody may connect any more, who is there is served to the end
start_handler socket image --on-stop=drain 2>log
start_client -i image -s socket --wait -n 2000 --all
kill -TERM "$handler_pid"
expect_logged 'when the last machine has ended' log
[ ! -e socket ] || fail "the socket is still there"
expect 1 "$client" -i image -s socket 2>/dev/null
go_on
expect_right
expect_end 0 "$handler_pid"

# a second signal ends the waiting
start_handler socket image --on-stop=drain 2>log
start_client -i image -s socket --wait --all
kill -TERM "$handler_pid"
expect_logged 'when the last machine has ended' log
kill -INT "$handler_pid"
expect_end 137 "$client_pid"
expect_end 0 "$handler_pid"

# without machines there is nothing to wait for
start_handler socket image --on-stop=drain 2>log
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

# Who only connected is no machine and is left alone.
start_handler socket image 2>log
fds=$(fds_at_rest "$handler_pid")
"$client" -i image -s socket --refused --text '' >/dev/null 2>&1 &
silent=$!
started $silent
expect_fds $((fds + 2)) "$handler_pid"
kill -TERM "$handler_pid"
expect_end 0 $silent
expect_end 0 "$handler_pid"

# So is a machine that was filled and let go, when its worker's end and the signal
# come at once: the keeper stands still for both.
start_handler socket image --fill 2>log
start_client -i image -s socket --pieces 10 --pause --wait --all
expect_workers 1 "$handler_pid"
worker=$(workers_of "$handler_pid")
stop_process "$handler_pid"
go_on
heard
"$await" $patience state "${worker% }" Z || fail "the worker does not end"
kill -TERM "$handler_pid"
kill -CONT "$handler_pid"
expect_end 0 "$handler_pid"
expect_text filled log
go_on
expect_right

# Hand-overs that wait in the queue: --once takes one, the others have no zeros to
# read, though they have kept no copy.
start_handler socket image --once 2>log
stop_process "$handler_pid"
queued=
for i in 1 2 3; do
	"$client" -i image -s socket --close-uffd --wait --all >client.$i </dev/null 2>&1 &
	queued="$queued $!"
	started $!
	"$await" $patience text client.$i connected || fail "client $i cannot connect"
done
kill -CONT "$handler_pid"
set -- $queued
expect_end 0 "$1"
expect_end 137 "$2"
expect_end 137 "$3"
expect_end 0 "$handler_pid"
expect_text 'another machine was first' log

# what ends keeper and worker at once would leave a machine to zeros: a closed
# terminal sends its signals to the whole group. The machine has given its
# userfaultfd away, so it would see them.
launcher=setsid
for signal in HUP QUIT; do
	start_handler socket image 2>log
	start_client -i image -s socket --wait --close-uffd --all
	kill -$signal "-$handler_pid"
	expect_end 137 "$client_pid"
	expect_end 0 "$handler_pid"
done
start_handler socket image 2>log
start_client -i image -s socket --wait --close-uffd -n 500 --all
for signal in ALRM USR2 ABRT VTALRM PROF; do
	kill -$signal "-$handler_pid"
done
go_on
expect_right
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

# a worker that is stopped cannot see its machine end
launcher=
start_handler socket image 2>log
start_client -i image -s socket --wait --all
expect_serving 1 "$handler_pid"
for worker in $(workers_of "$handler_pid"); do stop_process "$worker"; done
kill -TERM "$handler_pid"
expect_end 137 "$client_pid"
expect_end 0 "$handler_pid"
