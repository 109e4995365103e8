# SPDX-License-Identifier: Apache-2.0
# For the tests of pagoda-handler; after functions.sh.
await=$top_builddir/tests/await

# An image of that many MiB, random bytes with holes: make_image FILE MIB
make_image() {
	truncate -s "$2M" "$1"
	at_=0
	while [ "$at_" -lt $(($2 * 256)) ]; do
		dd if=/dev/urandom of="$1" bs=4096 seek="$at_" count=24 conv=notrunc status=none ||
			fail "cannot write $1"
		at_=$((at_ + 32))
	done
}

# A client that stops at --wait or --hold: its pid is in $client_pid, what it says
# comes on 9, and a line on 8 lets it go on. Returns when it says so.
# start_client ARGUMENT...
start_client() {
	rm -f client.in client.out
	mkfifo client.in client.out
	"$client" "$@" <client.in >client.out 2>client.err &
	client_pid=$!
	started "$client_pid"
	exec 8>client.in 9<client.out
	heard
}

heard() {
	heard_=$("$await" $patience line <&9) || {
		cat client.err >&2
		fail "the client did not say a word"
	}
}

# It says that every byte was right, and ends: expect_right
expect_right() {
	heard
	case $heard_ in *'all right'*) ;; *) fail "the client says: $heard_" ;; esac
	expect_end 0 "$client_pid"
}

go_on() { echo >&8 || fail "the client has ended"; }

# The exit code of a process we started: expect_end 137 PID
expect_end() {
	"$await" $patience state "$2" ZX || fail "process $2 does not end"
	wait "$2"
	got_=$?
	ended "$2"
	[ "$got_" -eq "$1" ] || fail "process ended with $got_, not $1"
}

# The workers of a handler, in one line.
workers_of() { cat "/proc/$1/task/$1/children"; }

# Returns when the handler has that many workers, or with N+ at least so many:
# expect_workers 2 PID
expect_workers() {
	"$await" $patience children "$2" "$1" || fail "the handler has not $1 workers"
}

# So do these workers serve: what is done to one that has just begun meets a copy of the
# keeper, with all of its descriptors. A crew is the last that a worker gets.
# expect_serving 2 PID
expect_serving() {
	expect_workers "$1" "$2"
	for pid_ in $(workers_of "$2"); do
		"$await" $patience threads "$pid_" 2+ || fail "worker $pid_ does not serve"
	done
}

# The handler says so, within some seconds: expect_logged TEXT LOG
expect_logged() {
	"$await" $patience text "$2" "$1" || fail "'$1' is not in $2"
}

# How many descriptors a handler has that has just started, and serves nobody; the
# one it tells its readiness on may still be on its way out.
fds_at_rest() {
	"$await" $patience closed "$1" 3 || fail "descriptor 3 stays open"
	set -- "/proc/$1/fd"/*
	echo $#
}

# The handler comes back to that many descriptors; it lets go of a machine a moment
# after it has died: expect_fds 8 PID
expect_fds() {
	"$await" $patience fds "$2" "$1" || fail "not $1 descriptors"
}

# So many machines that go on comparing, writing and removing until they are told to
# end: bystanders_start 8 IMAGE SOCKET
bystanders_start() {
	bystanders=
	i_=0
	while [ $i_ -lt "$1" ]; do
		i_=$((i_ + 1))
		"$client" -i "$2" -s "$3" -t 1 --regions $((1 + i_ % 3)) --steady --all \
			>bystander.$i_ 2>&1 &
		started $!
		bystanders="$bystanders $!"
	done
	while [ $i_ -gt 0 ]; do
		"$await" $patience text bystander.$i_ steady || fail "bystander $i_: $(cat bystander.$i_)"
		i_=$((i_ - 1))
	done
}

# Every byte of them was right to the end. What they said stays in bystander.N.
bystanders_right() {
	for pid_ in $bystanders; do
		kill -TERM "$pid_" || fail "a bystander has ended: $(cat bystander.*)"
	done
	for pid_ in $bystanders; do expect_end 0 "$pid_"; done
	i_=0
	for pid_ in $bystanders; do
		i_=$((i_ + 1))
		expect_text 'all right' bystander.$i_
	done
}

# The longest time within which 99 % of a bystander's operations were done, in us.
bystanders_slowest() { sed -n 's/.* 99 % within \([0-9]*\) us.*/\1/p' bystander.* | sort -n | tail -n 1; }
