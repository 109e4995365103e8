#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# One image all the way: out of a process, into a store, looked at with ordinary
# tools, and back into the memory of another process, fault by fault; then the same
# with a virtual machine, where there is /dev/kvm. Exits 0 only if every step was
# verified. Run by: sudo ./bootstrap demo
. "${srcdir:-.}/tests/functions.sh"

PATH=$top_builddir/tests:$PATH
number=0

step() {
	number=$((number + 1))
	printf '\n%d. %s\n' "$number" "$*"
}
show() { sed 's/^/     /'; }
# Shows a command as it is typed, then runs it.
run() {
	printf '   $'
	for word; do
		case $word in
		*[!A-Za-z0-9_./=:-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	echo
	"$@" >run.out 2>&1
	ended_with=$?
	show <run.out
	[ "$ended_with" -eq 0 ] || fail "step $number: exit $ended_with: $*"
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }

[ "$(id -u)" = 0 ] || fail "the demo mounts and uses userfaultfd: run it as root"
[ -c /dev/fuse ] || fail "the demo needs /dev/fuse"

step "A process holds a ledger in 64 MiB of memory; we copy that out of it"
mkfifo hold address
demo-process <hold >address &
process=$!
started "$process"
exec 4>hold
read -r at length <address || fail "the process did not say where its memory is"
run dd "if=/proc/$process/mem" of=ledger.mem bs=4096 skip=$((at / 4096)) \
	count=$((length / 4096)) status=none
exec 4>&-
wait "$process" || fail "the process failed"
ended "$process"
[ "$(wc -c <ledger.mem)" -eq "$length" ] || fail "the image is not $length bytes"
accounts=$(grep -ac '^pagoda-ledger account' ledger.mem)
echo "   The image has $length bytes and $accounts lines of the ledger; the process is gone."

step "The image goes into a new store: equal pages once, zero pages not at all"
PAGODA_STORE=$work/store
export PAGODA_STORE
run pagoda init
run pagoda import ledger ledger.mem
run pagoda note ledger "the ledger, before the incident"
run pagoda ls
stored=$(pagoda info ledger --json | json-get - snapshot stored_bytes) || fail "no info"
[ "$stored" -lt $((length / 2)) ] || fail "$stored bytes are stored, more than half of the image"
run pagoda check --read-data

step "The store is mounted: snapshots are directories, memory is a file"
mkdir view
mounted "$work/view"
run pagoda mount view
run ls -l view/ledger
run cat view/ledger/info.json
run head -n 4 view/ledger/maps

step "Ordinary tools look into it"
run grep -ac '^pagoda-ledger account' view/ledger/mem
[ "$(cat run.out)" = "$accounts" ] || fail "grep counts $(cat run.out) lines, not $accounts"
run grep -am 1 'account 00012345 ' view/ledger/mem
run dd if=view/ledger/mem bs=64 skip=4711 count=1 status=none
grep -q 'account 00004711 ' run.out || fail "dd does not find account 4711 at its place"
run cmp view/ledger/mem ledger.mem
echo "   Every byte of the view is that of the image."

# Serves one machine from a snapshot of the view: serve SNAPSHOT
serve() {
	[ -p ready ] || mkfifo ready
	pagoda serve --listen socket --once --stats=stats.json --ready-fd 3 "view/$1" 3>ready &
	handler_pid=$!
	started "$handler_pid"
	read -r _ <ready || fail "pagoda serve did not start"
}
served() {
	wait "$handler_pid" || fail "pagoda serve says that the machine did not end well"
	ended "$handler_pid"
}

step "A machine is restored from it: its page faults are answered from the view"
serve ledger
begun=$(milliseconds)
run client --socket socket --image ledger.mem --threads 2 --all
took=$(($(milliseconds) - begun))
served
[ "$took" -gt 0 ] || took=1
echo "   The machine compared all of its memory with the image: every byte is right."

step "What was served"
total() { json-get stats.json totals "$1" || fail "stats.json has no $1"; }
data=$(total data_pages)
zero=$(total zero_pages)
printf '   %s page faults in %s batches; %s pages of data, %s zero pages\n' \
	"$(total faults)" "$(total batches)" "$data" "$zero"
printf '   %s MiB of memory in %s ms, each page compared: %s MiB/s\n' \
	$((length >> 20)) "$took" $(((length >> 20) * 1000 / took))
[ $((data + zero)) -ge $((length / 4096)) ] ||
	fail "only $((data + zero)) of $((length / 4096)) pages were served"

# The checksums a guest printed, each once.
sums() { sed -n 's/^BEAT [0-9]* \(sum [0-9a-f]*\) .*/\1/p' run.out | sort -u; }

vmm=$top_builddir/tests/vmm/vmm
PATH=$top_builddir/tests/vmm:$PATH
if "$vmm" run --memory 1M --beats 1 >kvm.out 2>&1; then
	step "A virtual machine: its guest sums up all of its memory at every beat"
	run vmm run --memory 64M --seed 7 --beats 3 --at '3 snapshot guest.mem guest.state'
	before=$(sums)
	[ "$(echo "$before" | wc -l)" -eq 1 ] || fail "the guest's checksum moves: $before"

	step "Its snapshot goes into the store and shows in the view at once"
	run pagoda import guest guest.mem --vmstate guest.state
	run cmp view/guest/vmstate guest.state
	run grep -abo 'hello from the guest' view/guest/mem

	step "It goes on from there, with empty memory, on a handler of its own"
	serve guest
	run vmm restore --vmstate view/guest/vmstate --uffd socket --beats 3 --verify guest.mem
	served
	[ "$(sums)" = "$before" ] || fail "the guest sums up other memory than before"
	grep -q '^BEAT 4 ' run.out || fail "the guest did not go on with beat 4"
	echo "   The heart goes on beating, and the checksum is the one it had."

	step "A fork of it is patched like any file: another text for the guest to say"
	run pagoda fork guest patched
	place=$(grep -abo 'hello from the guest' view/patched/mem | cut -d: -f1)
	echo "   \$ printf 'HELLO from the FORK!' | dd of=view/patched/mem bs=1 seek=$place conv=notrunc,fsync"
	printf 'HELLO from the FORK!' |
		dd of=view/patched/mem bs=1 seek="$place" conv=notrunc,fsync status=none || fail "dd"
	run pagoda diff guest patched
	grep -q '^1 page' run.out || fail "more than one page differs"
	run cmp view/guest/mem guest.mem
	run pagoda seal patched

	step "A machine restored from the fork says it"
	serve patched
	run vmm restore --vmstate view/patched/vmstate --uffd socket --beats 2
	served
	grep -q 'HELLO from the FORK!' run.out || fail "the guest does not say what was patched in"
	run pagoda rm patched
	run pagoda rm guest
else
	step "No virtual machine here, only the process above"
	show <kvm.out
fi

step "Cleaned up"
run pagoda umount view
mountpoint -q view && fail "the view is still mounted"
run pagoda rm ledger
run pagoda check
printf '\nEvery step was verified.\n'
