#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Machines that read the view while they are served from it: the kernel has pages of
# the file in its hands when it faults in the machine's memory, and the handler needs
# pages of the same file. Nobody waits for the other, whatever way the machine reads,
# and also where there is next to no memory for the page cache.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_fuse
requires_userfaultfd
patience=60

make_image image 24
pagoda -s store init >/dev/null || fail "init"
pagoda -s store import a image >/dev/null || fail "import"

# What the page cache has of the view goes: each read is one of the daemon.
restore() {
	echo 1 >/proc/sys/vm/drop_caches
	"$client" -i image -s socket --patience $patience --all "$@" >said 2>&1 ||
		fail "client $*: $? $(cat said log)"
}
for threads in 1 8; do
	mount_store store view
	start_handler socket view/a 2>log
	for how in '' --direct --mapped; do
		restore --over view/a/mem -t $threads -n 500 $how
	done
	# several at once, each in another way
	machines=
	for how in '' --direct --mapped ''; do
		"$client" -i image -s socket --patience $patience --over view/a/mem -t 2 \
			-n 500 --all $how >said.$how 2>&1 &
		started $!
		machines="$machines $!"
	done
	for pid in $machines; do expect_end 0 "$pid"; done
	kill -TERM "$handler_pid"
	expect_end 0 "$handler_pid"
	pagoda umount view || fail "umount"
done

# The daemon has 12 MiB with all that is cached of its packs, which are 18: it serves
# on, and reclaiming waits for nobody who waits for it.
group=/sys/fs/cgroup/memory/pagoda-test.$$
limit=memory.limit_in_bytes
if [ ! -e /sys/fs/cgroup/memory/$limit ]; then
	group=/sys/fs/cgroup/pagoda-test.$$
	limit=memory.max
fi
mkdir "$group" 2>/dev/null && echo 12582912 2>/dev/null >"$group/$limit" || {
	rmdir "$group" 2>/dev/null
	skip "needs a memory cgroup for its last part"
}
# a group can go when its last process has; cleanup waits for no daemon
group_end() { # keeps the exit code for cleanup
	set -- $?
	umount -l "$work/view" 2>/dev/null
	for pid in $(cat "$group/cgroup.procs"); do
		"$await" 10 state "$pid" ZX || kill -KILL "$pid"
	done
	rmdir "$group"
	return "$1"
}
trap 'group_end; cleanup' EXIT
mkdir -p view
mounted "$work/view"
# shellcheck disable=SC2016
sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$group" \
	"$top_builddir/pagoda" -s store mount view || fail "mount"
daemon=$(cat "$group/cgroup.procs")
[ -n "$daemon" ] || fail "no daemon in $group"
start_handler socket view/a 2>log
for how in '' --direct --mapped; do
	echo 1 >/proc/sys/vm/drop_caches
	cat view/a/mem >copy &
	reader=$!
	started $reader
	restore --over view/a/mem -t 4 -n 500 $how
	expect_end 0 $reader
	same copy image
done
[ "$(cat "$group/cgroup.procs")" = "$daemon" ] || fail "the daemon has ended"
[ ! -e "$group/memory.failcnt" ] || [ "$(cat "$group/memory.failcnt")" -gt 0 ] ||
	fail "the daemon never met its limit"
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"
pagoda umount view || fail "umount"
