#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every way to be refused: the exit code, one line on standard error that names
# operation, object and cause, and the same as JSON on standard output.
. "${srcdir:-.}/tests/functions.sh"
PATH=$top_builddir/tests:$PATH

PAGODA_STORE=$work/store
export PAGODA_STORE

# refused CODE TEXT ARGUMENT...: as people see it and as JSON
refused() {
	code=$1
	words=$2
	shift 2
	pagoda "$@" >out 2>err
	got=$?
	[ "$got" -eq "$code" ] || fail "exit $got, not $code: pagoda $*: $(cat err)"
	[ ! -s out ] || fail "pagoda $* printed a result: $(cat out)"
	[ "$(wc -l <err)" -eq 1 ] || fail "not one line: $(cat err)"
	expect_text "pagoda: " err
	expect_text "$words" err
	pagoda --json "$@" >out.json 2>err
	got=$?
	[ "$got" -eq "$code" ] || fail "exit $got, not $code: pagoda --json $*"
	[ ! -s err ] || fail "pagoda --json $* wrote: $(cat err)"
	[ "$(json-get out.json schema_version)" = 1 ] || fail "no document: $(cat out.json)"
	[ "$(json-get out.json error code)" = "$code" ] || fail "code: $(cat out.json)"
	json-get out.json error text >text || fail "no text: $(cat out.json)"
	expect_text "$words" text
}

# usage
refused 2 "wants a command"
refused 2 "no command 'frobnicate'" frobnicate
refused 2 "no command 'frobnicate'" help frobnicate
refused 2 "unknown option '--frobnicate'" --frobnicate ls
refused 2 "unknown option '--dry-run'" ls --dry-run
refused 2 "wants an argument" ls -s
refused 2 "do not go together" -q -v ls
refused 2 "ls: wants no operand" ls x
refused 2 "info: wants NAME" info
refused 2 "info: wants NAME" info a b
refused 2 "rename: wants FROM TO" rename a
refused 2 "note: wants NAME TEXT" note a
refused 2 "export: wants NAME FILE" export a
refused 2 "diff: wants A B" diff a
refused 2 "diff: wants A B" diff a b c
refused 2 "import a: wants either IMAGE or --from-dir" import a
refused 2 "import a: wants either IMAGE or --from-dir" import a image --from-dir .
refused 2 "without --vmstate" import a --from-dir . --vmstate x
refused 2 "--format wants raw, not 'elf'" import a image --format elf
refused 2 "standard input is either" import a - --vmstate -
refused 2 "--diff wants the --parent" import a image --diff
refused 2 "--diff wants the --parent" import a --from-dir . --diff
refused 2 "--read-data wants a percentage" check --read-data=0
refused 2 "--read-data wants a percentage" check --read-data=101
refused 2 "--read-data wants a percentage" check --read-data=x
refused 2 "wants DIR" mount
refused 2 "wants DIR" umount a b
# --json that follows the mistake is honoured too
expect 2 pagoda frobnicate --json >out.json 2>/dev/null
[ "$(json-get out.json error code)" = 2 ] || fail "no document: $(cat out.json)"

# no store
for command in ls "info a" "diff a b" "export a x" "fork a b" "seal a" "rename a b" "note a b" "rm a" check; do
	# shellcheck disable=SC2086 # words
	refused 4 "no store at $work/store: make one with 'pagoda init'" $command
done
head -c 8192 /dev/urandom >image
refused 4 "import a: no store at" import a image
PAGODA_STORE='' refused 4 "no store at /var/lib/pagoda" ls

pagoda -q init || fail init
refused 6 "init: $work/store is a store already" init
mkdir full
: >full/file
refused 6 "init: full holds other files" -s full init
refused 6 "No such file or directory" -s missing/store init
refused 1 "Not a directory" -s image init
refused 4 "no store at" -s image ls

# no such snapshot, or one too many
pagoda -q import a image || fail import
pagoda -q import b image || fail import
for command in "info x" "diff a x" "diff x a" "export x y" "fork x y" "seal x" "rename x y" "note x y" "rm x" "rm -n x"; do
	# shellcheck disable=SC2086
	refused 4 "no snapshot 'x' in $work/store" $command
done
[ ! -e y ] || fail "export of nothing made a file"
refused 6 "import a: " import a image
refused 6 "rename a: " rename a b
refused 6 "there is a snapshot 'b' already" fork a b
refused 6 "fork a: 'a b' is no snapshot name" fork a 'a b'
refused 6 "seal a: it is sealed already" seal a
pagoda -q fork a draft || fail "fork"
refused 6 "'draft' is a draft: pagoda seal draft first" fork draft more
refused 5 "'draft' builds on it" rm a
pagoda -q rm draft || fail "rm of a draft"
refused 2 "fork: wants PARENT NAME" fork a
refused 2 "seal: wants NAME" seal

# layers
head -c 4096 image >shorter
head -c 12288 /dev/urandom >longer
refused 4 "import x: no snapshot 'y' in $work/store" import x image --parent y
refused 6 "import x: '..' is no snapshot name" import x image --parent ..
for option in "" --diff; do
	# shellcheck disable=SC2086 # one word or none
	refused 6 "import x: shorter has 4096 bytes, its parent 'a' has 8192" import x shorter --parent a $option
	# shellcheck disable=SC2086
	refused 6 "import x: longer has 12288 bytes, its parent 'a' has 8192" import x longer --parent a $option
done
refused 6 "import x: /dev/null cannot have holes" import x /dev/null --parent a --diff
for file in shorter longer; do
	cat $file | expect 6 pagoda import x - --parent a 2>err || exit 1
	expect_text "import x: standard input has $(stat -c %s $file) bytes" err
done
cat image | expect 6 pagoda import x - --parent a --diff 2>err || exit 1
expect_text "import x: standard input cannot have holes" err
# of a file as standard input what has been read already would come along
{
	dd of=header bs=4096 count=1 status=none
	expect 6 pagoda import x - 2>err
} <image
expect_text "import x: standard input is a file that is not at its beginning" err
# a file as standard input has them
pagoda -q import x - --parent a --diff <image || fail "a diff as standard input"
refused 5 "rm a: 'x' builds on it: remove that first" rm a
refused 5 "rm a: 'x' builds on it: remove that first" rm -n a
pagoda -q rm x || fail "rm x"

# names
long=$(printf '%0128d' 7)
newline='a
b'
pagoda -q import "$long" image || fail "a name of 128 bytes is refused"
for name in .. . '' -x .hidden a/b "${long}7" "$(printf '%0200d' 7)" "$newline" 'a b' \
	"$(printf 'caf\303\251')" "$(printf '\377')" "$(printf 'a\033[31m')"; do
	refused 6 "import" import -- "$name" image
	refused 6 "rename a" rename -- a "$name"
done
[ "$(pagoda --json ls | json-get - snapshots '#')" = 3 ] || fail "a bad name was accepted"
# what a message quotes of it cannot drive a terminal
pagoda import "$(printf 'a\033[31m')" image 2>err
! grep -q "$(printf '\033')" err || fail "an escape reached the terminal"

# notes
refused 6 "note a: " note a "$(printf 'x\033[31mred')"
refused 6 "note a: " note a "$(printf '\377')"
refused 6 "note a: " note a "$(printf '%01025d' 7)"

# images: refused input is 6, and 4 is kept for snapshots and stores
head -c 4097 /dev/zero >odd
: >empty
mkdir dir
refused 6 "import x: odd" import x odd
refused 6 "4097" import x odd
refused 6 "import x: empty" import x empty
refused 6 "import x: missing: No such file" import x missing
refused 6 "import x: dir is a directory" import x dir
for device in /dev/zero /dev/full; do
	expect 6 timeout 20 "$top_builddir/pagoda" import x $device 2>err
	expect_text "import x: $device is a character device" err
done
expect 6 timeout 20 "$top_builddir/pagoda" import x - </dev/zero 2>err
expect_text "import x: standard input is a character device" err
refused 6 "import x: standard input is empty" import x - </dev/null
refused 6 "import x: missing: No such file" import x image --vmstate missing
refused 6 "import x: missing: No such file" import x --from-dir missing
refused 6 "standard input is empty" import x - <&-
head -c 4097 /dev/zero | expect 6 pagoda import x - 2>err || exit 1
expect_text "standard input" err
: | expect 6 pagoda import x - 2>/dev/null || exit 1
truncate -s $((64 * 1048576 + 1)) huge
refused 6 "huge is larger than the 64 MiB" import x image --vmstate huge

# files of export
refused 6 "export a: " export a missing/file
refused 6 "export a: " export a dir
mkdir -p link
ln -s "$PAGODA_STORE/packs" link/packs
for file in "$PAGODA_STORE/index.db" "$PAGODA_STORE/new" "$PAGODA_STORE/holders/1" link/packs/1.pack; do
	refused 6 "export a: $file is inside the store" export a "$file"
done
pagoda -q check || fail "the store has changed"
refused 6 "export a: /dev/null cannot have holes" export --diff a /dev/null
pagoda export --diff a - >out 2>err
[ $? -eq 6 ] || fail "a diff went to standard output"
expect_text "export a: standard output cannot have holes" err
[ ! -s out ] || fail "a refused diff wrote something"

# views
refused 6 "umount missing: No such file" umount missing
refused 6 "umount dir: nothing is mounted there" umount dir
refused 6 "umount /proc: a file system of type proc is mounted there" umount /proc
pagoda -q check --read-data || fail "the store is not what it was"
