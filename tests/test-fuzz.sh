#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A short run of every fuzz target over its corpus (tests/fuzz/corpus/TARGET);
# PAGODA_LONG=1 makes it longer. `make fuzz` runs them under libFuzzer.
. "${srcdir:-.}/tests/functions.sh"

for target in "$top_builddir"/tests/fuzz/fuzz-*; do
	[ -x "$target" ] || continue
	name=${target##*/fuzz-}
	case $name in
	*.*) continue ;;
	esac
	runs=20000
	[ "$name" != batch ] || runs=5000
	[ "$name" != store ] || runs=300
	[ -z "${PAGODA_LONG:-}" ] || runs=$((runs * 50))
	set --
	for file in "$top_srcdir/tests/fuzz/corpus/$name"/*; do
		[ ! -e "$file" ] || set -- "$@" "$file"
	done
	say "fuzz-$name:"
	"$target" -n "$runs" "$@" || fail "fuzz-$name"
done
