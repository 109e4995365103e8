#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A machine that floods its worker with removals makes the worker no larger, and
# others are served: 63 run to their end beside it. How long operations of bystanders
# took is printed; on a shared machine it proves nothing.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
flood=50000
[ -z "${PAGODA_LONG:-}" ] || flood=1000000
make_image image 2
memory() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status"; }
told() { say "99 % of the operations of bystanders within $(bystanders_slowest) us $1"; }
# A machine that will flood, its worker in $worker, and what that has in $before.
flood_prepare() {
	expect_workers 4 "$handler_pid"
	others=$(workers_of "$handler_pid")
	start_client -i image -s socket --wait --flood $flood --hold --all "$@"
	expect_serving 5 "$handler_pid"
	for worker in $(workers_of "$handler_pid"); do
		case " $others" in *" $worker "*) ;; *) break ;; esac
	done
	before=$(memory "$worker")
}
flood_end() {
	heard
	case $heard_ in *'all right'*) ;; *) fail "the client says: $heard_" ;; esac
	heard
	after=$(memory "$worker")
	say "$flood removals: the worker had $before KiB, has $after KiB"
	[ "$after" -le $((before + 512)) ] || fail "the worker grew from $before to $after KiB"
	go_on
	expect_end 0 "$client_pid"
}

start_handler socket image --stats=stats.json 2>log
bystanders_start 4 image socket
"$client" -i image -s socket -t 1 -n 20000 --all >alone || fail "client"
bystanders_right
told "beside a machine that does not flood"

bystanders_start 4 image socket
flood_prepare -t 1
go_on
flood_end
bystanders_right
told "beside one that does"

bystanders_start 4 image socket
flood_prepare -t 4
go_on
machines=
i=0
while [ $i -lt 63 ]; do
	"$client" -i image -s socket -t 1 -n 300 --all >/dev/null 2>&1 &
	started $!
	machines="$machines $!"
	i=$((i + 1))
done
for pid in $machines; do expect_end 0 "$pid"; done
flood_end
bystanders_right
told "beside one that does and 63 others"

kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
removals=$("$top_builddir/tests/json-get" stats.json totals removals)
[ "$removals" -ge $((2 * flood)) ] || fail "only $removals removals were told"
