#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A handler in namespaces of its own, as a container gives them. Without /proc it cannot tell
# a userfaultfd, and closes none for that: its machine would read zeros. A machine that is
# outside of its PID namespace it cannot kill: that one is served on, and it says so.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/handler-functions.sh"
requires_root
requires_userfaultfd
requires_program nsenter
ask=$top_builddir/tests/ask
unshare --mount --propagation private true 2>/dev/null || skip "needs a mount namespace"
make_image image 2

# without /proc it does not begin
expect 1 timeout "$patience" unshare --mount --propagation private sh -c 'umount -l /proc && exec "$@"' sh \
	"$handler" --listen socket image 2>err
expect_text "/proc: No such file or directory" err
[ ! -e socket ] || fail "there is a socket"

# where it loses /proc on its way, what may be a userfaultfd is one
launcher="unshare --mount --propagation private"
start_handler socket image 2>log
nsenter --mount --target "$handler_pid" umount -l /proc || fail "cannot unmount /proc"
"$client" -i image -s socket -n 1000 --all --close-uffd || fail "the machine got something else"
expect 137 "$client" -i image -s socket --doomed --close-uffd --send uffd,file
kill -TERM "$handler_pid"
expect_end 0 "$handler_pid"

# what is outside of its PID namespace
unshare --pid --fork true 2>/dev/null || skip "the last part needs a PID namespace"
launcher="unshare --pid --fork --kill-child"
start_handler socket image --control control 2>log
start_client -i image -s socket --wait --all --close-uffd
"$await" $patience children "$handler_pid" 1 || fail "unshare has no child"
keeper=$(workers_of "$handler_pid")
keeper=${keeper% }
expect_serving 1 "$keeper"
"$ask" control '{"request":"stop","machine":0}' >answer || fail "no answer"
expect_text "could not be killed" answer
kill -TERM "$keeper"
expect_logged "machine 0: it could not be killed: kill it by hand" log
go_on
expect_right
expect_end 0 "$handler_pid"
expect_text "machine 0: stopped: " log
