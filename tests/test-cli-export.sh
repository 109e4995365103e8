#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# An export that is killed leaves nothing in the directory, and a file of that name as
# it was; one that is complete takes the name, also where files need one from the start.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH
PAGODA_STORE=$work/store
export PAGODA_STORE

[ -e /proc/self/fd ] || skip "needs /proc"
env --default-signal=INT true 2>/dev/null || skip "needs env --default-signal"

head -c 32M /dev/urandom >parent
cp parent child
truncate -s 48M parent child
dd if=parent of=child bs=1M seek=4 count=16 conv=notrunc status=none
pagoda -q init || fail init
pagoda -q import parent parent || fail "import parent"
pagoda -q import child child --parent parent || fail "import child"

# The descriptor of process $1 that leads into dir/.
writes() { find "/proc/$1/fd" -lname "$work/dir/*" 2>/dev/null | grep -q .; }

# Starts an export that stops in its midst: it is asked for its progress, and its
# standard error, a pipe that is full, does not take it. The pid is in $exporter.
trap '' USR1 # until it has its handler; inherited
mkfifo full
exec 5<>full
dd if=/dev/zero of=full bs=4096 oflag=nonblock status=none 2>/dev/null
export_held() {
	tries=0
	until hold "$@"; do
		# it was faster than who asks
		wait $exporter || fail "$case: export"
		[ $((tries += 1)) -lt 50 ] || fail "$case: no export was held"
		rm dir/file
		[ -z "$before" ] || echo kept >dir/file
	done
}
hold() {
	nice env --default-signal=INT,HUP,TERM "$top_builddir/pagoda" -q export "$@" dir/file 2>full &
	exporter=$!
	started $exporter
	(while kill -USR1 $exporter 2>/dev/null; do :; done) &
	asker=$!
	started $asker
	held=
	while [ -z "$held" ] && grep -q "^State:.[^ZX]" /proc/$exporter/status 2>/dev/null; do
		writes $exporter && grep -q "^State:.S" /proc/$exporter/status && held=yes
	done
	kill -KILL $asker
	wait $asker 2>/dev/null
	ended $asker
	[ -n "$held" ] || ended $exporter
	[ -n "$held" ]
}

# One export with the arguments, ended by each signal.
ended_by_each() {
	for signal in 9 2 15 1; do # KILL INT TERM HUP
		say "$case, signal $signal"
		export_held "$@"
		kill -$signal $exporter
		wait $exporter 2>/dev/null
		got=$?
		ended $exporter
		[ "$got" -eq $((128 + signal)) ] || fail "$case: exit $got after signal $signal"
		[ "$(ls -A dir)" = "$before" ] || fail "$case: signal $signal leaves: $(ls -A dir)"
	done
}

mkdir dir
# whether the file system has files without a name, the export has to find out
case="no file of that name"
before=
export_held child
if [ -n "$(ls -A dir)" ]; then
	case $(stat -f -c %T dir) in
	ext2/ext3 | xfs | btrfs | tmpfs) fail "$case: files are not without a name" ;;
	*) skip "needs a file system with O_TMPFILE" ;;
	esac
fi
kill -KILL $exporter
wait $exporter 2>/dev/null
ended $exporter
ended_by_each child
ended_by_each --diff child
case="a file of that name"
echo kept >dir/file
before=file
ended_by_each child
ended_by_each --diff child
[ "$(cat dir/file)" = kept ] || fail "$case: it was replaced"
exec 5>&-

# Exports to dir/file, and what is there is the image and nothing else.
complete() {
	pagoda -q export child dir/file || fail "$case: export"
	same dir/file child
	[ "$(stat -c %b dir/file)" -lt $((40 * 2048)) ] || fail "$case: it has no holes"
	pagoda -q export --diff child dir/file || fail "$case: export --diff"
	pagoda -q import "again-$1" dir/file --parent parent --diff || fail "$case: import"
	pagoda export "again-$1" - | cmp - child || fail "$case: the diff differs"
	[ "$(ls -A dir)" = file ] || fail "$case: there is more: $(ls -A dir)"
	rm dir/file
}
complete 1
case="no file of that name"
complete 2
case="a link that leads nowhere"
ln -s nowhere dir/file
complete 3
case="a link to a file"
echo kept >kept
ln -s ../kept dir/file
complete 4
[ "$(cat kept)" = kept ] || fail "$case: the file it leads to was written"
case="a name too long for a file"
long=$(printf %0300d 1)
expect 6 pagoda -q export child "dir/$long" 2>err
expect_text "File name too long" err

# Without /proc a file without a name could not get one: as without O_TMPFILE.
case="files that have a name from the start"
[ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null ||
	skip "the last part needs root and unshare -m; all others passed"
unshare -m sh -c 'mount -t tmpfs none /proc && "$1" -q export child dir/file &&
	"$1" -q export child dir/file' sh "$top_builddir/pagoda" || fail "$case: export"
same dir/file child
[ "$(ls -A dir)" = file ] || fail "$case: there is more: $(ls -A dir)"
flip=$(index-sql store/index.db 'SELECT offset + 100 FROM page ORDER BY id LIMIT 1')
printf XXXX | dd of=store/packs/1.pack bs=1 seek="$flip" conv=notrunc status=none
unshare -m sh -c 'mount -t tmpfs none /proc && "$1" -q export parent dir/file 2>err' \
	sh "$top_builddir/pagoda"
got=$?
[ $got -eq 3 ] || fail "$case: exit $got of a damaged one: $(cat err)"
same dir/file child
[ "$(ls -A dir)" = file ] || fail "$case: it leaves: $(ls -A dir)"
