#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The manual pages are clean mdoc, and what they and README.md show works as typed.
#
# Of a page, every literal block under EXAMPLES is run, of README.md every ```sh
# block: one shell for each text, in the order of the text, in a mount namespace in
# which /mnt, /run, /srv and /var/lib are empty and /etc/fstab is a copy. Comments in
# the text are part of it:
#
#   .\" setup: COMMAND   is run at its place and not shown to readers
#   .\" file: PATH       the next block is not run but appended to that file
#   .\" needs: PROGRAM   the next block is skipped, with the reason, without it
#
# (<!-- setup: COMMAND --> and so on in README.md).
. "${srcdir:-.}/tests/functions.sh"

# For README.md: what to do, one line each: "kind<TAB>text"; kind is run, setup,
# file, needs or end (of a block).
parse_readme() {
	awk '
	/^<!-- (setup|file|needs): .* -->$/ {
		sub(/^<!-- /, ""); sub(/ -->$/, "")
		kind = $1; sub(/:$/, "", kind); sub(/^[a-z]+: /, ""); print kind "\t" $0; next }
	/^```/ { if (in_block) print "end\t"; in_block = ($0 == "```sh"); next }
	in_block { print "run\t" $0 }' "$1"
}
parse_page() {
	awk '
	/^\.Sh / { in_examples = ($2 == "EXAMPLES") }
	!in_examples { next }
	/^\.\\" (setup|file|needs): / {
		sub(/^\.\\" /, "")
		kind = $1; sub(/:$/, "", kind); sub(/^[a-z]+: /, ""); print kind "\t" $0; next }
	/^\.Bd -literal/ { in_block = 1; next }
	/^\.Ed/ { if (in_block) print "end\t"; in_block = 0; next }
	in_block { gsub(/\\e/, "\\"); gsub(/\\&/, ""); print "run\t" $0 }' "$1"
}

# Turns that into a script: stdin to stdout.
make_script() {
	echo "set -e"
	skipped=
	file=
	while IFS='	' read -r kind text; do
		case $kind in
		setup) printf '%s\n' "$text" ;;
		needs) command -v "$text" >/dev/null || skipped=$text ;;
		file) file=$text ;;
		end)
			skipped=
			file=
			;;
		run)
			if [ -n "$skipped" ]; then
				say "skipped, needs $skipped: $text"
			elif [ -n "$file" ]; then
				printf "cat >>'%s' <<'END'\n%s\nEND\n" "$file" "$text"
			else
				printf '%s\n' "$text"
			fi
			;;
		esac
	done
}

# In a mount namespace of its own, runs the script $1.
run_apart() {
	unshare --mount --propagation private sh -c '
		for dir in /mnt /run /srv /var/lib; do mount -t tmpfs tmpfs "$dir" || exit 99; done
		cp /etc/fstab fstab 2>/dev/null || : >fstab
		[ ! -e /etc/fstab ] || mount --bind fstab /etc/fstab || exit 99
		# mount(8) looks for pagodafs on the PATH of the system only
		mkdir bin && ln -s "$1"/pagoda "$1"/pagodafs "$1"/pagoda-handler bin &&
			mount --bind bin /usr/local/bin || exit 99
		HOME=$PWD
		export HOME
		views() {
			sed -n "s/^[0-9]* [0-9]* [^ ]* [^ ]* \([^ ]*\) .* - fuse\.pagodafs .*/\1/p" \
				/proc/self/mountinfo | sort
		}
		# those of others are in this namespace too
		views >before
		sh -x "$0"
		status=$?
		# whatever of ours is still mounted would outlive us
		views | comm -13 before - | while read -r dir; do pagoda umount "$dir"; done
		exit $status' "$1" "$top_builddir"
}

examples() {
	rm -rf "$work/here"
	mkdir "$work/here"
	make_script >"$work/script"
	[ "$(wc -l <"$work/script")" -gt 1 ] || fail "$1 has no examples"
	(cd "$work/here" && run_apart "$work/script") >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		fail "an example of $1 does not work"
	}
	say "$1: $(($(wc -l <"$work/script") - 1)) lines run"
}

pages=$(find "$top_srcdir/docs" -name '*.[1-8]' | sort)
for page in pagoda.1 pagoda-store.5; do
	echo "$pages" | grep -q "/$page$" || fail "there is no docs/$page"
done
if command -v mandoc >/dev/null; then
	for page in $pages; do
		mandoc -T lint -W warning "$page" >lint || fail "$(cat lint)"
	done
else
	say "without mandoc the pages are not linted"
fi

requires_fuse
requires_program unshare
unshare --mount true 2>/dev/null || skip "needs a mount namespace"
for page in $pages; do
	parse_page "$page" | examples "$(basename "$page")" || exit 1
done
parse_readme "$top_srcdir/README.md" | examples README.md || exit 1
exit 0
