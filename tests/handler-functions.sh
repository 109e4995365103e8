# SPDX-License-Identifier: Apache-2.0
# For the tests of pagoda-handler; after functions.sh.

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
	read -r heard_ <&9 || {
		cat client.err >&2
		fail "the client ended before it said a word"
	}
}

go_on() { echo >&8; }

# The exit code of a process we started: expect_end 137 PID
expect_end() {
	wait "$2"
	got_=$?
	ended "$2"
	[ "$got_" -eq "$1" ] || fail "process ended with $got_, not $1"
}

# The workers of a handler, in one line.
workers_of() { cat "/proc/$1/task/$1/children"; }

# Returns when the handler has that many workers: expect_workers 2 PID
expect_workers() {
	until [ "$(workers_of "$2" | wc -w)" -eq "$1" ]; do
		kill -0 "$2" || fail "the handler has ended"
		sleep 0.02
	done
}

# The handler says so, within some seconds: expect_logged TEXT LOG
expect_logged() {
	tries_=0
	until grep -qF -- "$1" "$2"; do
		tries_=$((tries_ + 1))
		[ $tries_ -lt 200 ] || expect_text "$1" "$2"
		sleep 0.05
	done
}

# How many descriptors a handler has that has just started, and serves nobody; the
# one it tells its readiness on may still be on its way out.
fds_at_rest() {
	while [ -e "/proc/$1/fd/3" ]; do :; done
	count_fds "$1"
}

count_fds() {
	set -- "/proc/$1/fd"/*
	echo $#
}

# The handler comes back to that many descriptors; it lets go of a machine a moment
# after it has died: expect_fds 8 PID
expect_fds() {
	tries_=0
	until [ "$(count_fds "$2")" -eq "$1" ]; do
		tries_=$((tries_ + 1))
		[ $tries_ -lt 200 ] || fail "$(count_fds "$2") descriptors, not $1"
		sleep 0.05
	done
}
