#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The view that machines are restored from goes away and comes back: they wait, and
# every byte they see is right; or they end, and never run on.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_fuse
requires_userfaultfd
PATH=$top_builddir/tests:$PATH

kills=20
stopped_s=2
[ -z "${PAGODA_LONG:-}" ] || kills=200 stopped_s=30

make_image image 64
make_image image2 64
for store in store store2; do
	pagoda -s $store init >/dev/null || fail "init"
done
pagoda -s store import a image >/dev/null || fail "import"
pagoda -s store2 import b image2 >/dev/null || fail "import"
pagoda -s store2 import a image2 >/dev/null || fail "import"

view_pid() { view_daemon "$viewed" || fail "nobody serves the view"; }
kill_view() {
	victim=$(view_pid) || exit 1
	kill -KILL "$victim"
	view_ends
}
# Its connection has gone, and with that maybe the mount.
view_ends() {
	eventually not ls view/a >/dev/null 2>&1 || fail "the view does not end"
}
# the fresh mount's page cache is empty, so reads go to the daemon again
mkdir view
mounted "$work/view"
mount_view() {
	viewed=$1
	pagoda -s "$1" mount view || fail "mount"
}

value() {
	ask control "{\"request\":\"$1\"}" >answer || fail "no answer to $1"
	shift
	json-get answer result "$@"
}
# Asks until the value is at least that: await_value N REQUEST KEY...
await_value() {
	least=$1
	shift
	eventually is_least "$@" || fail "$* stays below $least: $(cat answer)"
}
is_least() { [ "$(value "$@")" -ge "$least" ]; }
start_view_handler() { start_handler socket view/a --control=control "$@" 2>log; }
end_handler() {
	kill -TERM "$handler_pid"
	expect_end 0 "$handler_pid"
}

mount_view store
start_view_handler
fds=$(fds_at_rest "$handler_pid")

# Killed again and again, under load: one machine after the other, until that is over.
(
	while [ ! -e over ]; do
		"$client" -i image -s socket -t 4 -n 20000 --all >>clients || touch wrong
	done
) &
load=$!
started $load
served=0
for i in $(seq $kills); do
	await_value $((served + 500)) stats totals data_pages
	kill_view
	[ "$(value status source)" = "view/a/mem" ] || fail "no status while the view is gone"
	mount_view store
	served=$(value stats totals data_pages)
done
touch over
expect_end 0 $load
[ ! -e wrong ] || fail "a machine was served wrongly: $(cat clients)"
[ "$(grep -c 'all right' clients)" -gt 0 ] || fail "no machine came to its end"
echo "$(grep -c 'all right' clients) machines, view killed $kills times, found gone" \
	"$(value stats totals lost_sources) times"
[ "$(value stats totals lost_sources)" -gt 0 ] || fail "nobody noticed that the view was gone"
[ "$(value status source_state)" = ready ] || fail "it is not ready again"
expect_fds "$fds" "$handler_pid"

! grep -q 'though it had not gone' log || fail "nobody was believed: $(cat log)"

# The processes that have opened it are not left behind.
has_zombie() {
	cat /proc/[0-9]*/stat 2>/dev/null | awk -v of="$handler_pid" '$3 == "Z" && $4 == of' | grep -q .
}
eventually not has_zombie || fail "a process was not waited for"

# A machine that comes while it is gone waits for it.
kill_view
start_client -i image -s socket -n 2000 --wait --all
go_on
await_value 1 status held_up
[ "$(value status source_state)" = lost ] || fail "it is not lost: $(cat answer)"
[ "$(value status lost_ms)" -ge 0 ] || fail "since when: $(cat answer)"
mount_view store
expect_right
[ "$(value status source_state)" = ready ] || fail "it is not ready again"

# Stopped: who has its pages goes on, the others wait, and whoever asks is answered.
kill_view
mount_view store
# a machine finds the old view gone first, so that it is reads that hang, not the opening
"$client" -i image -s socket -t 1 -n 100 >/dev/null || fail "a machine after the view came back"
start_client -i image -s socket -t 4 -n 20000 --wait --all
stopped=$(view_pid)
stop_process "$stopped"
go_on
await_value 1 status held_up
[ "$(value machines 0 held_up)" = true ] || fail "machines: $(cat answer)"
sleep $stopped_s # that long: nothing is waited for
[ "$(value status running)" = 1 ] || fail "it was given up: $(cat log)"
kill -CONT "$stopped"
expect_right
await_value 1 stats totals slow_reads

# Aborted by an administrator: the daemon ends, somebody starts another one.
connection=$(stat -c %d view) # minor number of the device
start_client -i image -s socket -t 4 -n 20000 --wait --all
mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections ||
	fail "no /sys/fs/fuse/connections"
echo 1 >"/sys/fs/fuse/connections/$((connection & 255 | (connection >> 12) & ~255))/abort" ||
	fail "cannot abort"
view_ends
go_on
await_value 1 status held_up
mount_view store
expect_right

# Another image in its place is no source for the rest of a machine.
start_client -i image -s socket --wait --all
kill_view
go_on
await_value 1 status held_up
mount_view store2
expect_end 137 "$client_pid"
expect_logged 'another image' log
expect_logged 'source-failed' log
! grep -q WRONG client.err || fail "the machine has read wrong bytes"
# ... nor of a new one
expect 137 "$client" -i image -s socket --all >/dev/null 2>&1
end_handler

# Not in time: the machine is killed, or frozen.
for failure in kill freeze; do
	kill_view
	mount_view store
	start_view_handler --source-timeout=1 --on-failure=$failure
	start_client -i image -s socket --wait --all
	kill_view
	go_on
	expect_logged 'no answer for 1 s' log
	if [ $failure = freeze ]; then
		"$await" $patience state "$client_pid" T || fail "the machine is not stopped"
		kill -KILL "$client_pid"
	fi
	expect_end 137 "$client_pid"
	mount_view store
	end_handler
done

# A daemon that hangs holds up neither the end of a machine that waited too long, nor
# that of the handler; its readers end when it does.
start_view_handler --source-timeout=1
start_client -i image -s socket -t 4 --wait --all
expect_serving 1 "$handler_pid"
worker=$(workers_of "$handler_pid")
stopped=$(view_pid)
stop_process "$stopped"
go_on
expect_end 137 "$client_pid"
expect_logged 'no answer for 1 s' log
end_handler
kill -CONT "$stopped"
"$await" $patience state "${worker% }" ZX || fail "the worker is still there"

start_view_handler
start_client -i image -s socket -t 4 --wait --all
expect_serving 1 "$handler_pid"
worker=$(workers_of "$handler_pid")
stop_process "$stopped"
go_on
await_value 1 status held_up
end_handler
expect_end 137 "$client_pid"
kill -CONT "$stopped"
"$await" $patience state "${worker% }" ZX || fail "the worker is still there"
pagoda umount view || fail "umount"
