#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Machines restored from a raw file get the right bytes, whatever generation hands
# over, however the text comes, with removals, writes and faults racing.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd

make_image image 16
operations=10000 # of each of the six large ones
threads=8
[ -z "${PAGODA_LONG:-}" ] || operations=1000000 threads=16
mkdir view
ln -s ../image view/mem

# source of the handler, then what the client does differently
restore() {
	source=$1
	shift
	start_handler socket "$source" --once 2>log
	"$client" -i image -s socket --all "$@" || fail "client $* failed: $(cat log)"
	expect_end 0 "$handler_pid"
	expect_text machine-gone log
	[ ! -e socket ] || fail "the socket is still there"
}

restore image -n 0 -t 1
restore view -n $operations -t $threads
restore image -n $operations -t $threads --generation 1.1
restore image -n $operations -t $threads --generation 1.7 --regions 2
restore image -n $operations -t $threads --generation 1.12 --regions 7
restore image -n $operations -t 16 --regions 400
restore image -n 1000 --pieces 1
restore image -n 1000 --pieces 7 --generation 1.7
restore image -n 1000 --send file,uffd
# a fork's: the userfaultfd and the memory itself
restore image -n $operations -t $threads --regions 3 --send uffd,pipe,file
restore image -n 1000 --blocking
restore image -n 1000 --close-uffd
