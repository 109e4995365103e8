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
before=$(memory)

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
[ "$after" -le $((before + 512)) ] || fail "memory grew from $before to $after KiB"

kill -USR1 "$handler_pid"
expect_logged '"machines"' stats.json
requires_program python3
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
python3 - <<'END' || fail "statistics: $(cat stats.json)"
import json
s = json.load(open("stats.json"))
t = s["totals"]
assert s["schema_version"] == 1 and s["running"] == 0 and s["machines"] == []
assert s["ends"]["machine-gone"] >= 18, s["ends"]
assert sum(n for e, n in s["ends"].items() if e not in ("machine-gone", "hand-over-refused")) == 0
assert t["faults"] > 0 and t["duplicates"] <= t["faults"] and t["batches"] <= t["rounds"]
assert t["bytes"] == t["data_pages"] * 4096 or t["present_pages"] or t["deferred_pages"]
assert sum(b["count"] for b in t["read_sizes"]) == t["batches"]
assert sum(b["count"] for b in t["latency_us"]) > 0
END

# Prometheus, by the clock
start_handler socket image --stats=stats.prom 2>log
expect_logged 'pagoda_handler_running 0' stats.prom
"$client" -i image -s socket --all >/dev/null || fail "client"
expect_logged 'pagoda_handler_ends_total{reason="machine-gone"} 1' stats.prom
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
