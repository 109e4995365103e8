#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Machines that have been served and rest cost no processor time: neither who looked for
# their next fault nor who watched their reads goes on doing so.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
machines=64
make_image image 1

start_handler socket image --spin=auto 2>log
mkfifo hold.in # nobody writes to it
exec 8<>hold.in
i=0
while [ $i -lt $machines ]; do
	i=$((i + 1))
	"$client" -i image -s socket -n 300 -t 2 --hold <hold.in >client.$i 2>&1 &
	started $!
done
while [ $i -gt 0 ]; do
	"$await" $patience text client.$i holding || fail "client $i: $(cat client.$i)"
	i=$((i - 1))
done

# Nanoseconds of processor time that keeper and workers have had. The machines rest, so
# none of them goes or comes.
had() {
	for pid_ in "$handler_pid" $(workers_of "$handler_pid"); do cat "/proc/$pid_/task"/*/schedstat; done |
		{
			sum_=0
			while read -r ns_ _; do sum_=$((sum_ + ns_)); done
			echo $sum_
		}
}

# What is looked for is a second with less than 0.5 % of a processor, which is 5 ms.
before=$(had)
i=0
while :; do
	sleep 1
	now=$(had)
	spent=$((now - before))
	echo "$spent ns in a second"
	[ $spent -ge 5000000 ] || break
	before=$now
	i=$((i + 1))
	[ $i -lt 20 ] || fail "$machines machines that rest cost $spent ns of a second"
done

kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
