#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Planning a batch, reading a page and importing a page cost no more instructions than
# bench/budget allows: a guard against slow growth that no load of the machine moves.
. "${srcdir:-.}/tests/functions.sh"
requires_program valgrind
requires_program callgrind_annotate
grep -q '^CFLAGS = -g -O2$' "$top_builddir/Makefile" || skip "counts are of a build with -g -O2"

# Instructions of all threads: count COMMAND...
count() {
	rm -rf store out out.*
	valgrind --tool=callgrind --callgrind-out-file=out "$@" >valgrind.log 2>&1 || {
		cat valgrind.log >&2
		fail "under callgrind: $*"
	}
	sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p' valgrind.log
}

# The image that the work needs; of reads it is the same for all.
make_image() {
	case $1 in
	import) expect 0 "$top_builddir/bench/work" make "$2" ;;
	read) expect 0 "$top_builddir/bench/work" make 2048 ;;
	esac
}

# within COUNTED BUDGET PERCENT
within() { [ "$1" -le $(($2 + $2 * $3 / 100)) ]; }

judge() {
	if ! within "$2" "$3" "$4"; then
		say "$1 costs $2 instructions, the budget is $3 + $4 %"
		return 1
	fi
	echo "$1: $2 instructions, budget $3 + $4 %"
	within "$3" "$2" "$4" || echo "$1: much less than the budget: lower it in bench/budget"
}

# it would notice
judge example 112 100 10 2>/dev/null && fail "12 % more than a budget is not noticed"
judge example 109 100 10 >/dev/null || fail "9 % more than a budget is refused"

bad=
while read -r what small large budget tolerance; do
	case $what in
	'#'* | '') continue ;;
	plan) set -- "$top_builddir/bench/work-plan" ;;
	*) set -- "$top_builddir/bench/work" "$what" ;;
	esac
	make_image "$what" "$small"
	few=$(count "$@" "$small") || exit 1
	make_image "$what" "$large"
	many=$(count "$@" "$large") || exit 1
	[ -n "$few" ] && [ -n "$many" ] || fail "callgrind does not say what $what costs"
	judge "$what" $(((many - few) / (large - small))) "$budget" "$tolerance" || bad="$bad $what"
done <"$top_srcdir/bench/budget"
[ -z "$bad" ] || fail "over budget:$bad"
exit 0
