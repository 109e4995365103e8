#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The command line, exit codes, and the name of the socket: only a dead socket is
# ever taken over.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
make_image image 1

expect 0 "$handler" --help >help
expect_text --on-failure help
expect 0 "$handler" --version >version
expect_text 'pagoda-handler ' version
refused() {
	want_=$1
	text_=$2
	shift 2
	expect "$want_" "$handler" "$@" 2>err
	[ "$(wc -l <err)" -eq 1 ] || fail "not one line: $(cat err)"
	expect_text "$text_" err
}
refused 2 usage image
refused 2 usage --listen socket
refused 2 usage --listen socket image image
refused 2 "unknown option" --listen socket --prefetch=auto image
refused 2 "kill or freeze" --listen socket --on-failure=pray image
refused 2 "kill or drain" --listen socket --on-stop=now image
refused 2 "no user" --listen socket --allow-uid=nobody-of-that-name image
refused 2 "no open descriptor" --listen socket --ready-fd 77 image
refused 4 "No such file" --listen socket nothing
mkdir empty
refused 4 "No such file" --listen socket empty
refused 6 "is not a file" --listen socket /dev/null
mkfifo fifo
expect 6 timeout "$patience" "$handler" --listen socket fifo 2>err
expect_text "is not a file" err
printf 1 >odd
refused 6 "not a multiple of 4096" --listen socket odd
refused 2 "at most 107 bytes" --listen "$(printf '%0108d' 0)" image
refused 1 "its directory" --listen none/socket image
echo precious >file
ln -s file link
refused 6 "something else than a socket" --listen file image
refused 6 "something else than a socket" --listen link image
[ "$(cat file)" = precious ] || fail "the file has gone"

requires_userfaultfd
start_handler socket image 2>log
[ "$(stat -c %a socket)" = 600 ] || fail "mode $(stat -c %a socket)"
refused 5 "another process listens" --listen socket image
# a look at the socket is no machine
kill -KILL "$handler_pid"
expect_end 137 "$handler_pid"
[ -S socket ] || fail "the dead socket should be there"
start_handler socket image --once 2>log
refused 5 "another process listens" --listen socket image
"$client" -i image -s socket --all || fail "client after a look at the socket"
expect_end 0 "$handler_pid"

# what is not ours any more is not ours to unlink
start_handler socket image 2>log
mv socket elsewhere
echo precious >socket
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
[ "$(cat socket)" = precious ] || fail "someone else's file has gone"
rm socket

# --once tells how it went
start_handler socket image --once 2>log
expect 137 "$client" -i image -s socket --doomed --text '[]'
expect_end 6 "$handler_pid"
# ... and who gave us no memory was none, with or without a word
start_handler socket image --once 2>log
expect 0 "$client" -i image -s socket --refused --send file >/dev/null
expect 0 "$client" -i image -s socket --refused --text '' >/dev/null
expect_logged 'sent nothing' log
expect 0 "$client" -i image -s socket --all
expect_end 0 "$handler_pid"

# without standard descriptors: neither the socket nor a file becomes one of them,
# here or in a worker, which keeps standard error
start_handler socket image 0<&- 1>&- 2>&-
start_client -i image -s socket --wait --all
expect_workers 1 "$handler_pid"
for fd in 0 1 2; do
	[ "$(readlink /proc/"$handler_pid"/fd/$fd)" = /dev/null ] || fail "descriptor $fd of the keeper"
done
worker=$(workers_of "$handler_pid")
[ "$(readlink /proc/"${worker% }"/fd/2)" = /dev/null ] || fail "descriptor 2 of a worker"
go_on
expect_right
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

# by who ignores the end of its children: it learns how a worker has ended all the same
launcher='env --ignore-signal=CHLD'
start_handler socket image --fill 2>log
launcher=
start_client -i image -s socket --wait --all
expect_logged filled log
go_on
expect_right
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

# Whoever can open the directory can lock it: that holds up neither start nor end,
# and the socket that stays is taken over.
if command -v flock >/dev/null; then
	mkdir held
	start_handler held/socket image 2>log
	exec 7<held
	flock 7
	kill -TERM "$handler_pid"
	expect_end 0 "$handler_pid"
	[ -S held/socket ] || fail "the socket should be there"
	refused 5 "locked its directory" --listen held/socket image
	exec 7<&-
	start_handler held/socket image 2>log
	kill -TERM "$handler_pid"
	expect_end 0 "$handler_pid"
	[ ! -e held/socket ] || fail "the socket is still there"
fi

# a stack that would overflow is refused before anyone relies on it
expect 1 timeout $patience prlimit --stack=65536 "$handler" --listen socket image 2>log
expect_text "a stack of 64.0 KiB is too small: give it 256.0 KiB" log

# users
start_handler socket image --allow-uid 12345,54321 2>log
# it gave its memory away before anyone looked, and must not run on with zeros
stop_process "$handler_pid"
start_client -i image -s socket --wait --close-uffd --all
kill -CONT "$handler_pid"
expect_end 137 "$client_pid"
expect_logged "is not in --allow-uid: killed" log
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

# statistics that cannot be written are told before anyone connects
expect 1 timeout 20 "$handler" --listen socket --stats nowhere/x image 2>log
expect_text "write statistics to nowhere/x: No such file or directory" log
[ ! -e socket ] || fail "the socket is still there"
