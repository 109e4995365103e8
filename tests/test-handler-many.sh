#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Many machines, at once and one after the other, killed at any moment: none
# gets a wrong byte, and the keeper is left as it was. The statistics add up.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
machines=${PAGODA_MACHINES:-200}
[ -z "${PAGODA_LONG:-}" ] || machines=1000
make_image image 2

start_handler socket image --stats=stats.json 2>log
fds=$(fds_at_rest "$handler_pid")
"$client" -i image -s socket --all -t 1 >/dev/null || fail "the first machine"
memory() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$handler_pid/status"; }
maps() { wc -l <"/proc/$handler_pid/maps"; }
tasks() { echo "/proc/$handler_pid/task"/* | wc -w; }
before=$(memory)
maps_before=$(maps)
tasks_before=$(tasks)

# at once
batch=
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	"$client" -i image -s socket -n 1000 --all >/dev/null &
	started $!
	batch="$batch $!"
done
for pid in $batch; do expect_end 0 "$pid"; done

# one after the other, each killed at another moment: on its way, or in full swing
i=0
while [ $i -lt "$machines" ]; do
	"$client" -i image -s socket -n 100000000 >/dev/null 2>&1 &
	pid=$!
	started $pid
	if [ $((i % 3)) -eq 0 ]; then
		expect_workers 1+ "$handler_pid"
	else
		spins=$((i * 7919 % 5000))
		while [ $spins -gt 0 ]; do spins=$((spins - 1)); done
	fi
	kill -KILL $pid
	expect_end 137 $pid
	i=$((i + 1))
done
"$client" -i image -s socket --all -t 1 >/dev/null || fail "the last machine"

expect_workers 0 "$handler_pid"
expect_fds "$fds" "$handler_pid"
after=$(memory)
say "$machines machines: $before KiB and $maps_before maps before, $after and $(maps) after"
[ "$after" -le $((before + 512)) ] || fail "memory grew from $before to $after KiB"
# the heap may have grown by a mapping or two; a machine that is kept has one each
[ "$(maps)" -le $((maps_before + 4)) ] || fail "mappings grew from $maps_before to $(maps)"
[ "$(tasks)" -le "$tasks_before" ] || fail "threads grew from $tasks_before to $(tasks)"

kill -USR1 "$handler_pid"
expect_logged '"machines"' stats.json
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

stat_of() { "$top_builddir/tests/json-get" stats.json "$@" || fail "no $* in $(cat stats.json)"; }
# The counts of a histogram, added up.
sum_of() {
	sum_=0
	i_=0
	while [ $i_ -lt "$(stat_of totals "$1" '#')" ]; do
		sum_=$((sum_ + $(stat_of totals "$1" $i_ count)))
		i_=$((i_ + 1))
	done
	echo $sum_
}
holds() { [ "$@" ] || fail "statistics: not $*: $(cat stats.json)"; }
holds "$(stat_of schema_version)" -eq 1
holds "$(stat_of running)" -eq 0
holds "$(stat_of machines '#')" -eq 0
holds "$(stat_of ends machine-gone)" -ge 18
for end in filled stopped descriptor-ended source-failed unexpected-event \
	fault-outside-regions install-failed out-of-memory worker-died; do
	holds "$(stat_of ends $end)" -eq 0
done
holds "$(stat_of totals faults)" -gt 0
holds "$(stat_of totals duplicates)" -le "$(stat_of totals faults)"
holds "$(stat_of totals batches)" -le "$(stat_of totals rounds)"
holds "$(sum_of read_sizes)" -eq "$(stat_of totals batches)"
holds "$(sum_of latency_us)" -gt 0

# Prometheus, by the clock
start_handler socket image --stats=stats.prom 2>log
expect_logged 'pagoda_handler_running 0' stats.prom
"$client" -i image -s socket --all >/dev/null || fail "client"
expect_logged 'pagoda_handler_ends_total{reason="machine-gone"} 1' stats.prom
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
