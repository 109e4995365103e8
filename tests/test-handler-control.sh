#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The control socket: what it answers, whom it ends, and who cannot disturb it.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
PATH=$top_builddir/tests:$PATH
make_image image 2

# The value at the keys of the answer to that request must be that:
# expect_answer VALUE REQUEST KEY...
expect_answer() {
	wanted=$1
	ask control "$2" >answer || fail "no answer to $2"
	shift 2
	found=$(json-get answer "$@") || fail "no $* in: $(cat answer)"
	[ "$found" = "$wanted" ] || fail "$* is '$found', not '$wanted'"
}

start_handler socket image --control=control --on-stop=drain 2>log
[ "$(stat -c %a control)" = 600 ] || fail "mode of the control socket"
expect_answer true '{"request":"status"}' ok
expect_answer 1 '{"request":"status"}' schema_version
expect_answer image '{"request":"status"}' result source
expect_answer 2097152 '{"request":"status"}' result image_bytes
expect_answer ready '{"request":"status"}' result source_state
expect_answer true '{"request":"status"}' result listening
expect_answer 0 '{"request":"status"}' result running
expect_answer '[]' '{"request":"machines"}' result

start_client -i image -s socket --wait --all
expect_workers 1 "$handler_pid"
expect_answer 1 '{"request":"status"}' result running
expect_answer 0 '{"request":"status"}' result held_up
expect_answer 1 '{"request":"machines"}' result '#'
expect_answer "$client_pid" '{"request":"machines"}' result 0 pid
expect_answer served "{\"request\":\"machines\",\"machine\":$client_pid}" result 0 state
worker=$(workers_of "$handler_pid")
expect_answer "${worker% }" '{"request":"machines"}' result 0 worker
expect_answer "$client_pid" '{"request":"stats"}' result machines 0 pid

# what cannot be answered says why, and nothing else happens
expect_answer false 'status' ok
for request in 'status' '{"request":"status"' '[]' '{}' '{"request":1}' '{"request":"reboot"}' \
	'{"request":"machines","machine":"one"}' '{"request":"stop","machine":1}' \
	'{"request":"status","request":"stop"}' "{\"request\":\"drain\",\"machine\":$client_pid}"; do
	expect_answer false "$request" ok
	[ -n "$(json-get answer error)" ] || fail "no reason: $(cat answer)"
done
expect_answer 'no machine with process 1' '{"request":"stop","machine":1}' error

# several lines in one piece are answered in order; a line without an end is too long
ask control '{"request":"status"}' nonsense '{"request":"machines"}' >answers || fail "no answers"
sed -n 2p answers | grep -q '"ok":false' || fail "the second answer: $(cat answers)"
sed -n 3p answers | grep -q '"worker"' || fail "the third answer: $(cat answers)"
head -c 100000 /dev/zero | tr '\0' ' ' | ask control - >answer 2>/dev/null
! grep -q '"ok":true' answer || fail "an endless line was taken: $(cat answer)"

# what is too long is refused, whatever its beginning says
printf '%-4096sgarbage\n' '{"request":"stop"}' | ask control - >answer 2>/dev/null
expect_text "a request has at most 4096 bytes" answer
printf '%-4096s\n{"request":"status"}\n' '{"request":"status"}' | ask control - >answer || fail "4096 bytes"
[ "$(grep -c '"ok":true' answer)" = 2 ] || fail "4096 bytes and one more: $(cat answer)"

# more clients than there are places, none of which says a word or reads one
mkfifo hold
exec 7<>hold
silent=
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	ask control - <hold >/dev/null 2>&1 7>&- &
	silent="$silent $!"
	started $!
done
expect_answer 1 '{"request":"machines"}' result '#'
kill $silent
for pid in $silent; do
	expect_end 143 "$pid"
done

# one machine is ended, others go on
go_on
expect_right
start_client -i image -s socket --wait --all
"$client" -i image -s socket --wait <hold >victim.out 2>&1 7>&- &
victim=$!
started $victim
"$await" $patience text victim.out connected || fail "the victim cannot connect"
expect_workers 2 "$handler_pid"
expect_answer true "{\"request\":\"stop\",\"machine\":$victim}" ok
expect_end 137 $victim
expect_logged "machine $victim: stopped" log
expect_answer false "{\"request\":\"stop\",\"machine\":$victim}" ok

# who has only connected has nothing that could be ended
ask socket - <hold >/dev/null 2>&1 7>&- &
silent=$!
started $silent
waits() { ask control "{\"request\":\"machines\",\"machine\":$1}" | grep -q waiting; }
eventually waits $silent || fail "it does not connect"
expect_answer "process $silent has sent no memory yet" \
	"{\"request\":\"stop\",\"machine\":$silent}" error
kill $silent
expect_end 143 $silent

# drain: nobody may connect any more, who is there is served to the end
expect_answer true '{"request":"drain"}' ok
expect_answer false '{"request":"status"}' result listening
expect 1 "$client" -i image -s socket 2>/dev/null
go_on
expect_right
expect_end 0 "$handler_pid"
[ ! -e control ] || fail "the control socket is still there"

# stop: the answer comes, also when nobody is left to wait for
start_handler socket image --control=control 2>log
expect_answer true '{"request":"stop"}' ok
expect_end 0 "$handler_pid"

# another handler's socket is not taken over, a file is not removed
start_handler socket image --control=control 2>log
expect 5 "$handler" --listen other --control=control image 2>err
expect_text 'control: another process listens there' err
expect_answer ready '{"request":"status"}' result source_state
kill -KILL "$handler_pid"
expect_end 137 "$handler_pid"
[ -S control ] || fail "a killed handler cannot remove its socket"
start_handler socket image --control=control 2>log
expect_answer ready '{"request":"status"}' result source_state
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
echo text >control
expect 6 "$handler" --listen other --control=control image 2>err
expect_text 'something else than a socket' err
! grep -q serving err || fail "it says that it serves before it can"
expect 1 "$handler" --listen other --stats=. image 2>err
expect_text 'statistics to .: Is a directory' err
expect_text text control
