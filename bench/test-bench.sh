#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The bench itself: each row runs once on a small made image, what it measures is
# compared, and what it writes can be read. No figure is judged.
. "${srcdir:-.}/tests/functions.sh"
requires_fuse
requires_userfaultfd
PATH=$top_builddir/tests:$PATH
bench() { "$top_builddir/bench/run" "$@"; }

mkdir plots tmp
export TMPDIR="$work/tmp"
expect 0 bench --once --made 4M --largest 8M --json all.json --plot plots >all.txt
cat all.txt >&2
[ "$(json-get all.json schema_version)" = 1 ] || fail "the JSON has no schema_version"
rows=$(json-get all.json rows '#') || fail "the JSON has no rows"
[ "$rows" -eq "$(bench --list | wc -l)" ] || fail "$rows rows in the JSON"
[ -z "$(ls tmp)" ] || fail "it leaves $(ls tmp) behind"

# Every row says something: figures, or what it waits for.
i=0
measured=0
while [ $i -lt "$rows" ]; do
	row=$(json-get all.json rows $i row) || fail "row $i has no name"
	figures=$(json-get all.json rows $i figures '#') || fail "row $row has no figures"
	if json-get all.json rows $i waits_for >/dev/null; then
		expect_text "not built" all.txt
	else
		[ "$figures" -gt 0 ] || fail "row $row measures nothing"
	fi
	j=0
	while [ $j -lt "$figures" ]; do
		if ! json-get all.json rows $i figures $j skipped >/dev/null; then
			measured=$((measured + 1))
			for key in unit median least most; do
				json-get all.json rows $i figures $j $key >/dev/null ||
					fail "figure $j of row $row has no $key"
			done
		fi
		j=$((j + 1))
	done
	i=$((i + 1))
done
[ "$measured" -ge 20 ] || fail "only $measured figures were measured"
[ -s plots/row-1.svg ] || fail "there is no plot of row 1"
expect_text '</svg>' plots/row-1.svg
expect_text 'recorded working sets' all.txt

# Some rows only, pairs with their spread.
expect 0 bench --made 2M --pairs 3 --json some.json 8 2 >some.txt
[ "$(json-get some.json rows '#')" -eq 2 ] || fail "not the two rows"
[ "$(json-get some.json rows 1 figures 0 a values '#')" -eq 3 ] || fail "not three pairs"

# A wrong byte is no figure: the handler serves another image than it should.
cat >wrong-handler <<EOT
#!/bin/sh
for last; do :; done
head -c 2097152 /dev/urandom >"$work/wrong.mem"
exec "$handler" --listen "\$2" --ready-fd "\$4" --once "$work/wrong.mem"
EOT
chmod +x wrong-handler
mkdir -p wrong/bench
ln "$top_builddir/bench/run" wrong/bench/run 2>/dev/null || cp "$top_builddir/bench/run" wrong/bench/run
ln -s "$top_builddir/pagoda" wrong/pagoda
mv wrong-handler wrong/pagoda-handler
expect 3 "$work/wrong/bench/run" --once --made 2M 2 >wrong.txt 2>&1
expect_text 'wrong bytes' wrong.txt
[ -z "$(ls tmp)" ] || fail "it leaves $(ls tmp) behind after a failure"

# A signal ends it, and nothing is left.
mkfifo said
"$top_builddir/bench/run" --made 2M --pairs 100000 1 >said &
bench_pid=$!
started $bench_pid
read -r _ <said
kill -TERM $bench_pid
wait $bench_pid
[ $? -eq 1 ] || fail "a stopped bench does not end with 1"
ended $bench_pid
[ -z "$(ls tmp)" ] || fail "it leaves $(ls tmp) behind when stopped"

expect 2 bench no-such-row 2>/dev/null
expect 2 bench --pairs 0 2>/dev/null
exit 0
