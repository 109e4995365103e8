#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is refused is closed, logged with the reason, leaves nothing behind, and
# disturbs nobody: a bystander is compared before and after.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_userfaultfd

make_image image 4
size=$((4 * 1024 * 1024))
start_handler socket image 2>log
fds=$(fds_at_rest "$handler_pid")
start_client -i image -s socket --wait -n 20000 -t 4 --all

# Nothing of its memory is in our hands: the connection is closed.
closed() {
	text=$1
	shift
	expect 0 "$client" -i image -s socket --refused "$@" >/dev/null
	expect_logged "$text" log
}
# Its memory is: it must not run on ...
doomed() {
	text=$1
	shift
	expect 137 "$client" -i image -s socket --doomed "$@" >/dev/null
	expect_logged "$text" log
}
# ... and reads no zero before it is dead, though it has kept no copy.
killed() {
	doomed "$@"
	shift
	expect 137 "$client" -i image -s socket --close-uffd --all "$@" >/dev/null
}
# A text instead of the regions.
text_killed() { killed "$1" --text "$2"; }

closed '0 of the 0 descriptors' --send ''
closed '0 of the 1 descriptors' --send file
closed '0 of the 2 descriptors' --send pipe,file
closed '4 descriptors came' --send file,file,pipe,file
killed '2 of the 2 descriptors' --send raw,uffd
killed '2 of the 3 descriptors' --send uffd,file,uffd
killed '3 of the 3 descriptors' --send uffd,raw,raw
killed '4 descriptors came' --send file,file,pipe,uffd
killed '10 descriptors came' --send uffd,uffd,uffd,uffd,uffd,uffd,uffd,uffd,uffd,uffd
doomed 'never set up' --send raw
text_killed 'not JSON' 'GET / HTTP/1.1'
text_killed 'not an array' '{}'
text_killed 'not JSON' '[{"size":1,"size":2}]'
text_killed 'no regions' '[]'
text_killed 'end of file expected' '[] []'
text_killed 'add up to 4096 bytes' '[{"base_host_virt_addr":4096,"size":4096,"offset":0}]'
text_killed 'not aligned' "[{\"base_host_virt_addr\":1,\"size\":$size,\"offset\":0}]"
text_killed 'address space' "[{\"base_host_virt_addr\":9223372036854771712,\"size\":$size,\"offset\":0}]"
text_killed 'page size of 8192' \
	"[{\"base_host_virt_addr\":8192,\"size\":$size,\"offset\":0,\"page_size\":8192}]"
killed 'longer than 65536' --text "$(printf '[%66000s' '')"

# Who says nothing, or not all, is not waited for: both at once, they take 5 s.
"$client" -i image -s socket --refused --text '' >/dev/null &
silent=$!
started $silent
"$client" -i image -s socket --doomed --text '[{' >/dev/null &
slow=$!
started $slow
expect_end 137 $slow
expect_end 0 $silent
expect_logged 'did not come in time' log
expect_logged 'sent nothing' log

# the bystander's: its userfaultfd, its process, its worker and the channel to it
expect_fds $((fds + 4)) "$handler_pid"
go_on
expect_right
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

# Where there is no memory to serve it with, it must not run on either: not even its
# regions can be kept, as 1 TiB needs 32 MiB of marks.
truncate -s 1T large
ulimit -S -v 60000
start_handler socket large 2>log
ulimit -S -v unlimited
killed 'no memory for another machine'
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
