# SPDX-License-Identifier: Apache-2.0
# A guest of ../shared/images in QEMU, for scripts that have read functions.sh.

# Puts the device state of guest-b beside its memory: state.
requires_guest() {
	requires_program qemu-system-x86_64
	requires_image guest-b
	gzip -dc "$shared/images/guest-b.qemu-state.gz" >state || fail "cannot unpack the device state"
}

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

# QEMU with that memory file, which waits for a device state: start_qemu MEM on|off
start_qemu() {
	mkfifo qmp.in qmp.out || exit 99
	qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 1 -m 256 \
		-object "memory-backend-file,id=m,size=256M,mem-path=$1,share=$2" \
		-machine pc,memory-backend=m -display none \
		-serial file:serial -qmp stdio -incoming defer <qmp.in >qmp.out 2>qemu.log &
	qemu=$!
	started $qemu
	exec 3>qmp.in 4<qmp.out
	qmp qmp_capabilities
	qmp migrate-set-capabilities '{"capabilities":[{"capability":"x-ignore-shared","state":true},
		{"capability":"events","state":true}]}'
}

migration_await() {
	while read -r answer <&4; do
		case $answer in
		*'"completed"'*) return 0 ;;
		*'"failed"'*)
			cat qemu.log >&2
			fail "migration: $answer"
			;;
		esac
	done
	fail "qemu ended while it took the device state"
}

# The guest goes on, and says three lines that match, which show that its clock goes on;
# they are in `ticks`: resume_guest MEM on|off VMSTATE PATTERN
resume_guest() {
	mkfifo serial || exit 99
	timeout 200 grep -m 3 --line-buffered "$4" <serial >ticks &
	reader=$!
	started $reader
	start_qemu "$1" "$2"
	qmp migrate-incoming "{\"uri\":\"exec:cat $3\"}"
	migration_await
	qmp cont
	wait $reader || {
		cat qemu.log >&2
		fail "no three lines of $4 within 200 s: $(cat ticks)"
	}
	ended $reader
}

stop_qemu() {
	qmp quit
	wait $qemu
	ended $qemu
	cat ticks
}
