#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A draft that is patched after the handler has started: the next machine has what was
# written, also in what was a hole, by whatever name the handler knows the draft.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_fuse
requires_userfaultfd

make_image image 4
pagoda -s store init >/dev/null || fail "init"
pagoda -s store import base image >/dev/null || fail "import"

# Machines of source $1 have draft $2 as it is now, and as it is after a patch.
patched() {
	pagoda -s store fork base "$2" >/dev/null || fail "fork"
	"${3:-:}" "view/$2/mem" "$1" || fail "no $1"
	start_handler socket "$1" 2>log
	"$client" -i image -s socket -n 100 --all >/dev/null || fail "$1: before: $(cat log)"
	cp image patched
	# 24 pages of data, 8 of holes
	for at in 0 24 1023; do
		for file in patched "view/$2/mem"; do
			echo "written at $at" |
				dd of="$file" bs=4096 seek="$at" conv=notrunc,fsync status=none ||
				fail "cannot write $file"
		done
	done
	"$client" -i patched -s socket -n 100 --all >said 2>&1 || fail "$1: $(cat said log)"
	kill -TERM "$handler_pid"
	expect_end 0 "$handler_pid"
}
link() {
	mkdir links && ln -s "$work/$1" links/mem
	# of another snapshot, which has no say
	cp view/base/info.json links
}
bind() {
	: >file && mount --bind "$1" "$2" && mounted "$work/$2"
}

mount_store store view
patched view/one one
patched view/two/mem two
patched links three link
patched file four bind
umount file || fail "umount"

# What of a draft was not stored is lost with its daemon: no machine goes on with it.
pagoda -s store fork base five >/dev/null || fail "fork"
start_handler socket view/five 2>log
start_client -i image -s socket --wait --all
kill -KILL "$(view_daemon store)" || fail "nobody serves the view"
eventually not ls view/five >/dev/null 2>&1 || fail "the view does not end"
mounted "$work/view"
pagoda -s store mount view || fail "mount"
go_on
expect_end 137 "$client_pid"
expect_logged 'a draft that was lost may be another image now' log
! grep -q WRONG client.err || fail "the machine has read wrong bytes"
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

# The other files of a snapshot are no memory.
for file in diff info.json; do
	expect 6 "$handler" --listen socket "view/base/$file" 2>err
done
expect 6 "$handler" --listen socket view/base/diff 2>err
expect_text 'the memory of a snapshot is the file mem beside it' err
pagoda umount view || fail "umount"
