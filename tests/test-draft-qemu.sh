#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A real Linux guest runs on a draft: every TICK in its memory is patched to TOCK
# through the mount with grep and dd, and QEMU resumes it with its memory shared:
# it prints TOCK, what it writes goes into the draft, and the parent still has TICK.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_program qemu-system-x86_64
requires_image guest-b
gzip -dc "$shared/images/guest-b.qemu-state.gz" >state || fail "cannot unpack the device state"

PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail "init"
pagoda -q import b guest-b.mem --vmstate state || fail "import"
pagoda -q fork b patched || fail "fork"
mount_store store view
same view/patched/vmstate state

grep -abo 'TICK ' view/patched/mem | cut -d: -f1 >places
[ "$(wc -l <places)" = 21 ] || fail "TICK is there $(wc -l <places) times"
while read -r place; do
	printf 'TOCK ' | dd of=view/patched/mem bs=1 seek="$place" conv=notrunc status=none ||
		fail "dd"
done <places
[ "$(grep -abo 'TOCK ' view/patched/mem | cut -d: -f1)" = "$(cat places)" ] || fail "not every TICK is a TOCK"
cp guest-b.mem patched.mem
while read -r place; do
	printf 'TOCK ' | dd of=patched.mem bs=1 seek="$place" conv=notrunc status=none || exit 99
done <places
same view/patched/mem patched.mem
same view/b/mem guest-b.mem
pages=$(while read -r place; do echo $((place / 4096)); done <places | sort -un | wc -l)
[ "$(stat -c %b view/patched/diff)" = $((pages * 8)) ] ||
	fail "$pages pages were patched, the diff has $(stat -c %b view/patched/diff) blocks"

mkfifo serial qmp.in qmp.out || exit 99
timeout 200 grep -m 3 --line-buffered 'T[IO]CK' <serial >ticks &
reader=$!
started $reader
qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 1 -m 256 \
	-object memory-backend-file,id=m,size=256M,mem-path=view/patched/mem,share=on \
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
qmp migrate-incoming "{\"uri\":\"exec:cat view/patched/vmstate\"}"
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
	fail "no three lines within 200 s: $(cat ticks)"
}
ended $reader
expect 5 pagoda seal patched 2>message
expect_text "open for writing by pagodafs" message
qmp quit
wait $qemu
ended $qemu
cat ticks
[ "$(grep -c 'TOCK [0-9]* 109091' ticks)" = 3 ] || fail "the guest does not print TOCK"
sync view/patched/mem
cmp -s view/patched/mem patched.mem && fail "the guest has run and its memory is as before"
same view/b/mem guest-b.mem
cp view/patched/mem after
pagoda umount view || fail "umount"
pagoda -q export patched exported || fail "export"
same exported after
pagoda -q seal patched || fail "seal"
pagoda -q check --read-data || fail "check"
