#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A real Linux guest goes on from the view: QEMU resumes guest-b with its memory
# on the sealed mem, privately mapped, and its once-a-second line goes on.
. "${srcdir:-.}/tests/functions.sh"

requires_fuse
requires_program qemu-system-x86_64
requires_image guest-b
gzip -dc "$shared/images/guest-b.qemu-state.gz" >state || fail "cannot unpack the device state"

pagoda -s store init || fail "init"
pagoda -s store import b guest-b.mem --vmstate state || fail "import"
mount_store store view

mkfifo serial qmp.in qmp.out || exit 99
# three lines show that the clock of the guest goes on
timeout 120 grep -m 3 --line-buffered TICK <serial >ticks &
reader=$!
started $reader
qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 1 -m 256 \
	-object memory-backend-file,id=m,size=256M,mem-path=view/b/mem,share=off \
	-machine pc,memory-backend=m -display none \
	-serial file:serial -qmp stdio -incoming defer <qmp.in >qmp.out 2>qemu.log &
qemu=$!
started $qemu
exec 3>qmp.in 4<qmp.out

# Sends a command and reads to its answer: qmp NAME [ARGUMENTS]
qmp() {
	printf '{"execute":"%s"%s}\n' "$1" "${2:+,\"arguments\":$2}" >&3
	while read -r answer <&4; do
		case $answer in
		*'"error"'*) fail "$1: $answer" ;;
		'{"return"'*) return 0 ;;
		esac
	done
	cat qemu.log >&2
	fail "$1: qemu ended"
}

qmp qmp_capabilities
qmp migrate-set-capabilities '{"capabilities":[{"capability":"x-ignore-shared","state":true},
	{"capability":"events","state":true}]}'
qmp migrate-incoming "{\"uri\":\"exec:cat view/b/vmstate\"}"
while read -r answer <&4; do
	case $answer in
	*'"completed"'*) break ;;
	*'"failed"'*)
		cat qemu.log >&2
		fail "migration: $answer"
		;;
	esac
done
qmp cont
wait $reader || {
	cat qemu.log >&2
	fail "no three TICK lines within 120 s: $(cat ticks)"
}
ended $reader
qmp quit
wait $qemu
ended $qemu

cat ticks
# the number is the guest's own checksum of its data: it must be the one it had
[ "$(grep -c ' 109091' ticks)" = 3 ] || fail "the guest counts other data than before"
# a private mapping leaves the snapshot as it is, also in the page cache
same view/b/mem guest-b.mem
pagoda umount view || fail "umount"
pagoda -s store check --read-data || fail "check"
