#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The rooms keep to themselves (HACKING.md): who may include what, and which
# program may link what. The same rules then catch breaches made for the purpose.
. "${srcdir:-.}/tests/functions.sh"

# includes TREE ROOM: the headers that files of the room include
includes() {
	(cd "$1" && find "$2" -name '*.[ch]' -exec \
		sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1/p' {} + | sort -u)
}

# Our rooms that the room may include headers of.
rooms_of() {
	case $1 in
	base) echo base ;;
	db) echo base db ;;
	handler) echo base handler ;;
	fusefs) echo base db fusefs ;;
	cli) echo base db cli ;;
	esac
}

# What db/ shows to other rooms.
db_shows=" attachment catalog check codec compare copy damage draft draft-seen draft-vmstate export fork gc import index info map pages repack resolve snapshot store "

# The one room that may include the header of a library, empty for any.
owner_of() {
	case $1 in
	sqlite3*.h | lz4*.h | zstd*.h | xxhash.h) echo db ;;
	fuse*.h | fuse3/*) echo fusefs ;;
	linux/userfaultfd.h) echo handler ;;
	esac
}

# Prints every breach in the includes of the tree.
breaches_of_includes() {
	for room in base db handler fusefs cli; do
		includes "$1" $room | while read -r header; do
			other=${header%%/*}
			if [ "$other" = db ] && [ $room != db ]; then
				name=${header#db/}
				case $db_shows in
				*" ${name%.h} "*) ;;
				*) echo "$room includes $header" ;;
				esac
			fi
			case " base db handler fusefs cli tests bench " in
			*" $other "*)
				case " $(rooms_of $room) " in
				*" $other "*) ;;
				*) echo "$room includes $header" ;;
				esac
				;;
			esac
			owner=$(owner_of "$header")
			[ -z "$owner" ] || [ "$owner" = $room ] || echo "$room includes $header"
			# base knows no library at all
			case $room:$header in
			base:jansson.h) echo "$room includes $header" ;;
			esac
		done
	done
}

# How make links the program, as one line.
link_line() {
	# a link is forced by a file that make is told is new
	make -C "$top_builddir" -n -W libbase.a "$1" V=1 2>/dev/null |
		sed -e ':join' -e '/\\$/N' -e 's/\\\n//' -e 'tjoin' |
		grep -E -- "-o $1( |\$)" | tail -n 1
}

# breaches_of_link PROGRAM LINE
breaches_of_link() {
	case $1 in
	pagoda) forbidden='-lfuse3? libhandler\.a libfusefs\.a' ;;
	pagodafs) forbidden='libhandler\.a libcli\.a' ;;
	pagoda-handler) forbidden='-lsqlite3 -llz4 -lzstd -lxxhash -lfuse3? libdb\.a libfusefs\.a' ;;
	esac
	for word in $forbidden; do
		echo " $2 " | grep -qE -- "[ /]$word " && echo "$1 links $word"
	done
	return 0
}

found=$(breaches_of_includes "$top_srcdir")
[ -z "$found" ] || fail "$found"
for room in base db handler fusefs cli; do
	[ "$(includes "$top_srcdir" $room | wc -l)" -gt 3 ] || fail "saw no includes in $room"
done
for program in pagoda pagodafs pagoda-handler; do
	line=$(link_line $program)
	[ -n "$line" ] || fail "make says no link line for $program"
	echo " $line " | grep -q ' libbase\.a ' || fail "no whole link line for $program: $line"
	found=$(breaches_of_link $program "$line")
	[ -z "$found" ] || fail "$found"
done

# Does it catch one? A tree with one breach each:
catches() {
	rm -rf tree
	mkdir tree
	for room in base db handler fusefs cli; do
		mkdir tree/$room
		echo '#include "base/attributes.h"' >tree/$room/good.c
	done
	[ -z "$(breaches_of_includes tree)" ] || fail "it finds a breach where there is none"
	printf '%s\n' "$2" >"tree/$1/bad.c"
	[ -n "$(breaches_of_includes tree)" ] || fail "it does not catch $2 in $1"
}
catches cli '#include <sqlite3.h>'
catches cli '#include "fusefs/ops.h"'
catches cli '  #  include "db/index-private.h"'
catches fusefs '#include "db/transaction.h"'
catches handler '#include "db/store.h"'
catches handler '#include <fuse3/fuse_lowlevel.h>'
catches fusefs '#include <linux/userfaultfd.h>'
catches fusefs '#include <sqlite3.h>'
catches db '#include <fuse_lowlevel.h>'
catches db '#include "cli/exit.h"'
catches base '#include "db/store.h"'
catches base '#include <jansson.h>'
catches base '#include "tests/unit.h"'
for line in "pagoda-handler gcc -o pagoda-handler x.o libbase.a -ljansson -lsqlite3" \
	"pagoda-handler gcc -o pagoda-handler x.o libdb.a libbase.a" \
	"pagoda gcc -o pagoda x.o libdb.a libbase.a -lfuse3 -lpthread" \
	"pagodafs gcc -o pagodafs x.o libhandler.a"; do
	[ -n "$(breaches_of_link "${line%% *}" "${line#* }")" ] || fail "it does not catch: $line"
done
exit 0
