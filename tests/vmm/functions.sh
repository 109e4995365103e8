# SPDX-License-Identifier: Apache-2.0
# For scripts that run machines, after tests/functions.sh.

vmm=$top_builddir/tests/vmm/vmm

# Boots a machine of the least size: what is in the way is the reason to skip.
requires_kvm() {
	"$vmm" run --memory 1M --beats 1 >kvm.out 2>kvm.err
	case $? in
	0) ;;
	77) skip "$(cat kvm.err)" ;;
	*) fail "the smallest machine does not run: $(cat kvm.err)" ;;
	esac
}

# run_vmm OUT ARGUMENT...: must end well
run_vmm() {
	out_=$1
	shift
	"$vmm" "$@" >"$out_" || fail "vmm $*"
}

# refuse_vmm TEXT ARGUMENT...: must fail with one line that holds the text, and
# before the guest has run
refuse_vmm() {
	text_=$1
	shift
	"$vmm" "$@" >refuse.out 2>refuse.err && fail "not refused: vmm $*"
	expect_text "$text_" refuse.err
	[ "$(wc -l <refuse.err)" -eq 1 ] || fail "more than one line: $(cat refuse.err)"
	[ -s refuse.out ] && fail "refused too late: vmm $*"
	return 0
}

# The sums that a machine printed, each once.
sums_of() { sed -n 's/^BEAT [0-9]* sum \([0-9a-f]*\) .*/\1/p' "$1" | sort -u; }

# The beats that a machine printed, in a row.
beats_of() { sed -n 's/^BEAT \([0-9]*\) .*/\1/p' "$1" | xargs; }

# expect_beats OUT SUM BEAT...: these, all with that sum
expect_beats() {
	out_=$1
	sum_=$2
	shift 2
	[ "$(beats_of "$out_")" = "$*" ] || fail "beats $(beats_of "$out_"), not $*"
	[ "$(sums_of "$out_")" = "$sum_" ] || fail "sums $(sums_of "$out_" | xargs), not $sum_"
}

# page FILE N: its bytes
page() { dd if="$1" bs=4096 skip="$2" count=1 status=none; }
