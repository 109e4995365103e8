#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Standard output that fails is an error, and nothing else is written where it was.
. "${srcdir:-.}/tests/functions.sh"

PAGODA_STORE=$work/store
export PAGODA_STORE
pagoda -q init || fail init
head -c 1048576 /dev/urandom >image
pagoda -q import image image || fail import

for command in ls "info image" check "--json ls" "--json check" help --version; do
	# shellcheck disable=SC2086 # words
	expect 8 pagoda $command >/dev/full 2>err
	expect_text "standard output: No space left on device" err
	# shellcheck disable=SC2086
	expect 1 pagoda $command >&- 2>err
	expect_text "standard output: Bad file descriptor" err
done
expect 8 pagoda --version >/dev/full 2>err
[ "$(cat err)" = "pagoda: standard output: No space left on device" ] || fail "it says: $(cat err)"
expect 8 pagoda export image - >/dev/full 2>err

# a reader that is gone: told, not killed by the signal
mkfifo pipe
pagoda ls >pipe 2>err &
writer=$!
: <pipe
wait $writer
# the reader may have been quicker than the one line: then all is well
status=$?
[ $status -eq 0 ] || [ $status -eq 1 ] || fail "exit $status"
[ $status -eq 0 ] || expect_text "standard output: Broken pipe" err
# more than a pipe holds
mkfifo pipe2
pagoda export image - >pipe2 2>err &
writer=$!
dd if=pipe2 of=/dev/null bs=4096 count=1 status=none
wait $writer
status=$?
[ $status -eq 1 ] || fail "exit $status for an export to a closed pipe: $(cat err)"
expect_text "Broken pipe" err

# with no standard descriptors, what is opened must not become one of them: the lock
# of the store would be the first, and take what is printed
long=$(printf '%01000d' 7)
for name in a b c d e f; do
	pagoda -q import $name image || fail "import $name"
	pagoda -q note $name "$long" || fail "note $name"
done
pagoda ls >&- 2>/dev/null
pagoda -v ls nonsense <&- >&- 2>&-
pagoda ls <&- >&- 2>&-
pagoda --json ls <&- >&- 2>&-
[ ! -s store/lock ] || fail "output landed in the lock of the store"
pagoda -q check --read-data || fail "output landed in the store"
