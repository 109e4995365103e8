#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A machine that has gone keeps no other out, though its worker cannot end, as one cannot
# that hangs in a read of a daemon that stands still. Here a debugger holds it.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
PATH=$top_builddir/tests:$PATH
make_image image 1

# How many machines there are in that state: in_state served
in_state() {
	ask control '{"request":"machines"}' >answer || fail "no answer"
	grep -o "\"state\":\"$1\"" answer | wc -l
}
expect_state() {
	eventually has_state "$@" || fail "not $1 machines are $2: $(cat answer)"
}
has_state() { [ "$(in_state "$2")" -eq "$1" ]; }
# A machine that waits to be told to begin, which nobody does: its pid is in $machine_pid.
machine() {
	"$client" -i image -s socket --wait <"$work/hold.in" >"$1" 2>&1 8>&- &
	machine_pid=$!
	started $machine_pid
	"$await" $patience text "$1" connected || fail "machine $1: $(cat "$1")"
}
mkfifo hold.in
exec 8<>hold.in

# Room for two machines, one of which goes, but its worker does not: begin DESCRIPTORS
begin() {
	launcher="prlimit --nofile=$((317 + $1))"
	start_handler socket image --control=control 2>log
	machine first
	expect_serving 1 $handler_pid
	worker=$(workers_of $handler_pid)
	"$top_builddir/tests/hold" "${worker% }" >held 2>&1 &
	holder=$!
	started $holder
	"$await" $patience text held holding || skip "$(cat held)"
	kill -KILL $machine_pid
	expect_end 137 $machine_pid
	expect_state 1 lingering
	machine second
	expect_state 1 served
	machine third
}
end() {
	kill $holder
	expect_end 143 $holder
	expect_state 0 lingering
	expect_state 2 served
	kill -TERM $handler_pid
	expect_end 0 $handler_pid
}

begin 11
expect_state 2 served
[ "$(in_state lingering)" -eq 1 ] || fail "it does not linger any more: $(cat answer)"
end

# It still has a descriptor: where that is one too many, the next machine waits.
begin 10
for turn in 1 2 3; do
	[ "$(in_state served)" -eq 1 ] || fail "three machines and room for two: $(cat answer)"
done
end
