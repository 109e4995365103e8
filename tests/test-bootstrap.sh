#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bootstrap, with stand-ins for the programs it runs: it installs exactly what is
# missing, updates the lists only where it must, and runs twice in a row.
. "${srcdir:-.}/tests/functions.sh"

unset PAGODA_WERROR

mkdir bin tree
cp "$top_srcdir/bootstrap" tree/
: >log

stand_in() {
	cat >"bin/$1"
	chmod +x "bin/$1"
}
# a package is installed unless the file "missing" names it
stand_in dpkg-query <<END
#!/bin/sh
for package; do :; done
grep -qx "\$package" $work/missing || echo installed
END
stand_in apt-get <<END
#!/bin/sh
echo "apt-get \$*" >>$work/log
case "\$*" in
*install*) [ ! -e $work/lists-are-old ] || exit 100; : >$work/missing ;;
*update*) rm -f $work/lists-are-old ;;
esac
END
stand_in id <<'END'
#!/bin/sh
echo 0
END
stand_in autoreconf <<END
#!/bin/sh
echo autoreconf >>$work/log
printf '#!/bin/sh\necho "configure \$*" >>$work/log\n: >Makefile\n' >configure
chmod +x configure
END
stand_in make <<END
#!/bin/sh
echo "make \$*" >>$work/log
END
PATH=$work/bin:$PATH
bootstrap() {
	: >log
	(cd / && "$work/tree/bootstrap" "$@") >out 2>err
}
logged() { grep -qE -- "$1" log || fail "not done: $1: $(cat log)"; }
not_logged() { ! grep -qE -- "$1" log || fail "done: $1: $(cat log)"; }

: >missing
bootstrap || fail "a fresh tree: $(cat err)"
not_logged apt-get
logged '^autoreconf'
logged '^configure *$'
logged '^make -C build .*all$'

bootstrap || fail "the second run: $(cat err)"
not_logged apt-get
not_logged autoreconf
not_logged configure

PAGODA_WERROR=1 bootstrap check || fail "check: $(cat err)"
logged '^configure --enable-werror$'
logged '^make -C build .* check$'
PAGODA_WERROR=1 bootstrap bench || fail "bench: $(cat err)"
logged '^make -C build bench$'
PAGODA_WERROR=1 bootstrap --with-qemu build || fail "with qemu: $(cat err)"
not_logged configure

printf 'mandoc\nlibfuse3-dev\nqemu-system-x86\n' >missing
bootstrap || fail "with packages missing: $(cat err)"
expect_text "installing libfuse3-dev mandoc" out
logged 'apt-get .*install --no-install-recommends libfuse3-dev mandoc$'
[ -d /var/lib/apt/lists ] && ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 &&
	not_logged update

echo mandoc >missing
: >lists-are-old
bootstrap || fail "with old lists: $(cat err)"
logged 'apt-get .*update$'
logged 'apt-get .*install .*mandoc$'

echo qemu-system-x86 >missing
bootstrap --with-qemu || fail "--with-qemu: $(cat err)"
expect_text "installing qemu-system-x86" out

printf 'squashfuse\nvalgrind\n' >missing
bootstrap bench || fail "bench with packages missing: $(cat err)"
expect_text "installing squashfuse" out

: >missing
expect 2 "$work/tree/bootstrap" nonsense 2>err
expect_text "unknown argument 'nonsense'" err
expect 0 "$work/tree/bootstrap" --help >out
expect_text "usage: ./bootstrap" out
