#!/bin/sh
# install.sh CMAKE BUILD: installs a build into a temporary folder and uses it from there as another project would: headers
# by themselves, exported names, and the examples against the shared and the static library by way of pkg-config.
set -eu
cmake=$1 build=$2
source=$(cd "${0%/*}/.." && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
fail() { echo "$*" >&2 && exit 1; }

DESTDIR=$root "$cmake" --install "$build" --prefix /opt/theriac >"$root/log" || { cat "$root/log" && exit 1; }
there=$root/opt/theriac
for file in bin/theriac lib/libtheriac.a lib/libtheriac.so include/theriac/base.h share/man/man1/theriac.1 \
    share/bash-completion/completions/theriac; do
    [ -e "$there/$file" ] || fail "$file is not installed"
done
! grep -rlaF -e "$source" -e "$root" "$there" || fail "these name the folder they were built in or installed to"

# Moved away, all must still be found.
mv "$there" "$root/moved"
there=$root/moved
export PKG_CONFIG_PATH="$there/lib/pkgconfig" LD_LIBRARY_PATH="$there/lib"
version=$(pkg-config --modversion theriac)
[ "$("$there/bin/theriac" --version)" = "theriac $version" ] || fail "the command is not of version $version"

# What the headers declare is exported, and nothing else.
"$source/scripts/public-names" "$there"/include/theriac/*.h >"$root/declared"
nm -D --defined-only "$there/lib/libtheriac.so" | awk '{ print $3 }' | LC_ALL=C sort >"$root/exported"
diff "$root/declared" "$root/exported" || fail "declared (<) and exported (>) names differ"

# No object of the library can print or end the program.
nm -A --undefined-only "$there/lib/libtheriac.a" | awk '
    $NF ~ /^(stdout|stderr|puts|putchar|perror|v?printf|__v?printf_chk|v?warnx?|v?errx?|error|_?exit|_Exit|abort|__assert_fail)$/' \
    >"$root/forbidden"
[ ! -s "$root/forbidden" ] || { cat "$root/forbidden" && fail "the library must neither print nor exit"; }

compile="${CC:-cc} -std=c17 -O2 -Wall -Wextra -Wpedantic -Werror"
flags=$(pkg-config --cflags theriac)
for header in "$there"/include/theriac/*.h; do
    $compile -fsyntax-only -x c "$header" $flags || fail "${header##*/} does not stand by itself"
    ! command -v c++ >/dev/null || c++ -std=c++17 -Wall -Wextra -fsyntax-only -x c++ "$header" $flags ||
        fail "${header##*/} is no C++"
done

run() {
    "$root/$1" "$root/folder" >"$root/$2" || fail "$1 ends with $?"
}
for example in "$source"/examples/*.c; do
    name=$(basename "$example" .c)
    $compile "$example" -o "$root/$name" $flags $(pkg-config --libs theriac)
    $compile "$example" -o "$root/$name-static" $flags "$there/lib/libtheriac.a" -Wl,--as-needed $(pkg-config --static --libs theriac)
    ! ldd "$root/$name-static" | grep libtheriac || fail "$name-static still wants the shared library"
    run "$name" shared
    run "$name-static" static
    echo "--- $name" && cat "$root/shared"
    diff "$root/shared" "$root/static" || fail "$name: the static library computes something else"
done
