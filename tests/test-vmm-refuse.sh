#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What does not fit is refused in one line, before the guest runs.
. "${srcdir:-.}/tests/functions.sh"
. "$top_srcdir/tests/vmm/functions.sh"
requires_kvm

run_vmm run.out run --memory 1M --beats 1 --at '1 snapshot mem vmstate'

refuse_restore() { refuse_vmm "$1" restore --vmstate "$2" --mem-file "$3" --beats 1; }

say "vmstate"
refuse_restore 'cannot open the vmstate none: No such file' none mem
: >empty
refuse_restore 'refused the vmstate empty: it is not one of this VMM' empty mem
refuse_restore 'refused the vmstate mem: it is not one of this VMM' mem mem
size=$(stat -c %s vmstate)
head -c $((size - 1)) vmstate >short
refuse_restore 'refused the vmstate short: its length is wrong' short mem
{ cat vmstate && printf x; } >long
refuse_restore 'refused the vmstate long: its length is wrong' long mem
cp vmstate newer
printf '\002' | dd of=newer bs=1 seek=8 conv=notrunc status=none
refuse_restore 'refused the vmstate newer: its version is another one' newer mem
for at in 16 100 $((size - 1)); do
	cp vmstate flipped
	printf '\125' | dd of=flipped bs=1 seek="$at" conv=notrunc status=none
	refuse_restore 'refused the vmstate flipped: its checksum is wrong' flipped mem
done

say "memory file"
refuse_restore 'cannot open the memory file none: No such file' vmstate none
cp mem longer
printf x >>longer
refuse_restore 'the memory file longer has 1048577 bytes, the machine has 1048576' vmstate longer
truncate -s 1044480 mem
refuse_restore 'the memory file mem has 1044480 bytes, the machine has 1048576' vmstate mem

say "handler"
refuse_vmm 'cannot connect to none' restore --vmstate vmstate --uffd none --beats 1

say "command line"
refuse_vmm 'not a multiple of 4096' run --memory 1048577
refuse_vmm 'not a multiple of 4096' run --memory 4K
refuse_vmm 'not a multiple of 2 MiB' run --split 3M
refuse_vmm '--data wants 0 to 100' run --data 101
refuse_vmm "'1 dance' is not a beat and a command" run --at '1 dance'
refuse_vmm "'x balloon 1' is not a beat and a command" run --at 'x balloon 1'
refuse_vmm "'1 snapshot mem' is not a beat and a command" run --at '1 snapshot mem'
refuse_vmm '--vmstate is missing' restore --mem-file mem
refuse_vmm 'one of --mem-file and --uffd' restore --vmstate vmstate
refuse_vmm 'one of --mem-file and --uffd' restore --vmstate vmstate --mem-file mem --uffd s
