# SPDX-License-Identifier: Apache-2.0
# What every test script starts with: . "${srcdir:-.}/tests/functions.sh"
#
# A script runs in an empty directory of its own, $work. Whatever it mounted with
# mounted(), started with started() or spawned is undone when it ends, also when
# it fails: by mount point, by pid, never by name. Exit codes are automake's: 0
# passed, 77 skipped with the reason, 99 the test itself is broken, else failed.
set -u

top_srcdir=$(cd "${srcdir:-.}" && pwd)
top_builddir=$(cd "${builddir:-.}" && pwd)
shared=$(cd "$top_srcdir/.." && pwd)/shared
[ -d "$shared/images" ] || shared=${PAGODA_SHARED:-$shared}

pagoda() { "$top_builddir/pagoda" "$@"; }
pagodafs=$top_builddir/pagodafs
handler=$top_builddir/pagoda-handler
client=$top_builddir/tests/client
PATH=$top_builddir:$PATH
export LC_ALL=C TZ=UTC
unset PAGODA_STORE

work=$(mktemp -d "${TMPDIR:-/tmp}/pagoda-test.XXXXXX") || exit 99
mounts=
pids=

cleanup() {
	status=$?
	trap - EXIT HUP INT TERM PIPE
	cd /
	for pid in $pids; do
		kill -CONT "$pid" 2>/dev/null
		kill -KILL "$pid" 2>/dev/null
	done
	for dir in $mounts; do
		umount "$dir" 2>/dev/null || umount -l "$dir" 2>/dev/null
	done
	for pid in $pids; do
		wait "$pid" 2>/dev/null
	done
	# what fail said into a file, as in: expect 3 COMMAND 2>err
	[ $status -eq 0 ] || grep -h -s -D skip '^FAIL: ' "$work"/* >&2
	# umount -l of a busy tree: the daemon may still be writing
	rm -rf --one-file-system "$work"
	exit $status
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 141' PIPE
cd "$work" || exit 99

say() { printf '%s\n' "$*" >&2; }
skip() {
	say "SKIP: $*"
	exit 77
}
fail() {
	say "FAIL: $*"
	exit 1
}

# The command must end with exactly that code: expect 3 pagoda check
expect() {
	want=$1
	shift
	"$@"
	got=$?
	[ "$got" -eq "$want" ] || fail "exit $got, not $want: $*"
}

# Its output must hold the text: expect_text 'pack 1' FILE
expect_text() {
	grep -qF -- "$1" "$2" || {
		cat "$2" >&2
		fail "'$1' is not in $2"
	}
}

# For what comes by itself: what has not come within so many seconds fails the test.
patience=60

# Tries the command until it succeeds, for what nothing tells of; 1 when patience is over:
# eventually [ -e FILE ]
eventually() {
	read -r until_ _ </proc/uptime
	until_=$((${until_%.*} + patience))
	until "$@"; do
		read -r now_ _ </proc/uptime
		[ "${now_%.*}" -le $until_ ] || return 1
	done
}
not() { ! "$@"; }

# Stops a process, and returns when each of its threads stands still.
stop_process() {
	kill -STOP "$1" || fail "process $1 has ended"
	eventually not has_thread_running "$1" || fail "process $1 does not stop"
}
has_thread_running() { cat "/proc/$1/task"/*/status | grep '^State:' | grep -qv '[TZ] ('; }

# Chance that PAGODA_SEED repeats, for so many rounds: by_chance ROUNDS LONG_ROUNDS
by_chance() {
	rounds=$1
	[ -z "${PAGODA_LONG:-}" ] || rounds=$2
	seed=${PAGODA_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
	say "seed $seed, $rounds rounds"
}

# A number below $1, in $random.
next_random() {
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	random=$((seed / 8 % $1))
}

# Lets time pass until any moment, at most what counting to $1 takes.
dawdle() {
	next_random "$1"
	while [ "$random" -gt 0 ]; do random=$((random - 1)); done
}

same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }

mounted() { mounts="$1 $mounts"; }
started() { pids="$1 $pids"; }

# Takes a process out of the list: it has ended, or someone else waits for it.
ended() {
	left=
	for pid in $pids; do
		[ "$pid" = "$1" ] || left="$left $pid"
	done
	pids=$left
}

requires_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }
requires_program() {
	command -v "$1" >/dev/null || skip "needs $1"
}
requires_fuse() {
	[ -c /dev/fuse ] || skip "needs /dev/fuse"
	[ "$(id -u)" = 0 ] || skip "needs root to mount"
}
requires_userfaultfd() {
	[ -e /dev/userfaultfd ] || [ "$(id -u)" = 0 ] || skip "needs userfaultfd"
}

# Unpacks ../shared/images/NAME (guest-a or guest-b) to $work/NAME.mem.
requires_image() {
	[ -r "$shared/images/guest-a.mem.zst" ] || skip "needs the guest images in ../shared/images"
	requires_program zstd
	[ -e guest-a.mem ] ||
		zstd -q -d "$shared/images/guest-a.mem.zst" -o guest-a.mem || fail "cannot unpack guest-a"
	[ "$1" = guest-a ] || [ -e guest-b.mem ] ||
		zstd -q -d --long=28 --patch-from=guest-a.mem "$shared/images/guest-b.from-a.zst" \
			-o guest-b.mem || fail "cannot unpack guest-b"
}

# Mounts the store on the directory and remembers to unmount it: mount_store S DIR [-o ...]
mount_store() {
	mkdir -p "$2"
	mounted "$work/$2"
	store_=$1
	dir_=$2
	shift 2
	pagoda -s "$store_" mount "$dir_" "$@" || fail "mount of $store_ on $dir_ failed"
}

# The process that serves a view of the store: known by what it has open, since a number
# that a dead one left in holders/ may belong to another by now.
view_daemon() {
	for holder_ in "$1"/holders/*; do
		pid_=$(basename "$holder_")
		[ "$(cat "/proc/$pid_/comm" 2>/dev/null)" = pagodafs ] || continue
		readlink "/proc/$pid_/fd"/* 2>/dev/null | grep -qxF "$work/$1/lock" || continue
		echo "$pid_"
		return 0
	done
	return 1
}

# Starts the handler on a source and returns when it listens; its pid is in
# $handler_pid: start_handler SOCKET SOURCE [OPTION...]
start_handler() {
	socket_=$1
	source_=$2
	shift 2
	mkfifo "$work/ready.$$"
	# shellcheck disable=SC2086 # $launcher: none, or the words of a command
	${launcher:-} "$handler" --listen "$socket_" --ready-fd 3 "$@" "$source_" \
		3>"$work/ready.$$" &
	handler_pid=$!
	started "$handler_pid"
	read -r _ <"$work/ready.$$" || fail "pagoda-handler did not start"
	rm "$work/ready.$$"
}

# A pagoda that was built with libzstd.
requires_zstd() {
	pagoda -s nowhere repack nobody --codec zstd 2>zstd.err
	! grep -q 'without libzstd' zstd.err || skip "needs a build with libzstd"
}
