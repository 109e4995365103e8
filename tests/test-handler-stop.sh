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
