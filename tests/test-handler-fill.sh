#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# --fill installs everything while the machine runs, then lets go of it: it needs
# the handler no more.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd
make_image image 16

start_handler socket image --once --fill 2>log
start_client -i image -s socket --wait -n 20000 -t 4 --all
expect_end 0 "$handler_pid"
expect_text filled log
go_on
expect_right

# Removals and faults race with the filling. A fault that comes while the memory is
# let go must not be left asleep: about 1 in 60 was.
rounds=200
[ -z "${PAGODA_LONG:-}" ] || rounds=2000
start_handler socket image --fill 2>log
i=0
while [ $i -lt $rounds ]; do
	"$client" -i image -s socket -n 5000 -t 4 --regions 3 --all >/dev/null 2>client.err &
	started $!
	expect_end 0 $!
	i=$((i + 1))
done
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
