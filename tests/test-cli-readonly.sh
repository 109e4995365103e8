#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A store on a read-only mount, or of another user: reading works, writing is
# refused with 6 and a reason.
. "${srcdir:-.}/tests/functions.sh"
requires_root

head -c 1048576 /dev/urandom >image
chmod 755 "$work"
umask 022
pagoda -q -s store init || fail init
pagoda -q -s store import image image --vmstate image || fail import

reads() {
	"$@" ls >out 2>err || fail "ls: $(cat err)"
	expect_text image out
	"$@" info image >out 2>err || fail "info: $(cat err)"
	"$@" export image - >back 2>err || fail "export: $(cat err)"
	same back image
	"$@" check --read-data >out 2>err || fail "check: $(cat out err)"
}
refuses() {
	for command in "rm image" "rename image other" "note image text" "import new $work/image"; do
		# shellcheck disable=SC2086 # words
		expect 6 "$@" $command 2>err
		expect_text "cannot be written" err
	done
}

mkdir ro
mounted "$work/ro"
mount --bind store ro && mount -o remount,ro,bind ro || skip "cannot make a read-only mount"
on_media() { pagoda -s "$work/ro" "$@"; }
reads on_media
refuses on_media

# another user, who may read
chmod -R a+rX store
other=65534
runs_as_other() {
	setpriv --reuid $other --regid $other --clear-groups "$top_builddir/pagoda" -s "$work/store" "$@"
}
setpriv --reuid $other --regid $other --clear-groups test -x "$top_builddir/pagoda" ||
	skip "other users may not run the program where it was built"
reads runs_as_other
refuses runs_as_other

# another user, who may not
chmod 700 store
runs_as_other ls 2>err
status=$?
[ $status -eq 1 ] || fail "exit $status without the right to read: $(cat err)"
expect_text "Permission denied" err

# nothing of all that has changed the store
pagoda -q -s store check --read-data || fail check
pagoda -q -s store rm image || fail "rm on the writable side"
