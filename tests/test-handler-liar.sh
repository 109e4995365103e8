#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A worker in the hands of a hostile machine says what is not so: it keeps the keeper from
# nothing, and loses its own machine at most.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
PATH=$top_builddir/tests:$PATH
make_image image 1

begin() {
	start_handler socket image 2>log
	bystanders_start 2 image socket
	bystanders_workers=$(workers_of "$handler_pid")
}
end() {
	bystanders_right
	kill -TERM "$handler_pid"
	expect_end 0 "$handler_pid"
}

# A machine, and the worker that is its own: it is stopped with all of its threads, as each
# could read what the keeper answers us.
victim() {
	start_client -i image -s socket --wait --all
	expect_serving 3 "$handler_pid"
	for pid_ in $(workers_of "$handler_pid"); do
		case " $bystanders_workers" in *" $pid_ "*) ;; *) worker=$pid_ ;; esac
	done
	stop_process "$worker"
}
lie() {
	"$top_builddir/tests/lie" "$worker" "$1" >lied 2>&1
	case $? in
	0) ;;
	77) skip "$(cat lied)" ;;
	*) fail "lie: $(cat lied)" ;;
	esac
}

# The source is lost, lost, lost: each time it is opened again, but later and later, by
# 40, 80, ... 2560 ms from the second on.
begin
victim
lie 8
[ "$(cat lied)" -ge 5080 ] || fail "8 lies were followed within $(cat lied) ms"
[ "$(grep -c 'though it had not gone' log)" -eq 8 ] || fail "a lie was believed: $(cat log)"
kill -CONT "$worker"
go_on
expect_right
end

# Who opened it again is waited for when it ends, though nothing else happens then. It may
# end before the keeper has looked, so not each turn would show it.
for turn in 1 2 3 4 5 6; do
	begin
	victim
	lie 1
	expect_workers 3 "$handler_pid"
	kill -CONT "$worker"
	go_on
	expect_right
	end
done

# What it may not say, ends it. (The source is as it was opened first: what is lost twice is
# that, and not one before.)
begin
for what in twice end unknown; do
	victim
	lie $what
	expect_end 137 "$client_pid"
	expect_logged "machine $client_pid: worker-died: its worker did not keep to" log
	expect_workers 2 "$handler_pid"
done
end
