#!/bin/sh
# Runs one case of the command's golden tests: run.sh [--update] BINARY FILE.case
#
# A case is shell lines, then what they print: "--- stdout", "--- stderr" and "--- exit N" begin the parts; a part that
# is empty, and exit 0, are left out. The lines run in a temporary folder with theriac in the path and $CASES naming this
# one. Exit 77 from the lines skips the case, and the first line of standard error says why. --update rewrites the file.
set -u
update=no
[ "$1" = --update ] && update=yes && shift
binary=$(realpath "$1") case=$(realpath "$2")
CASES=$(dirname "$case")
export CASES

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/here"
ln -s "$binary" "$work/bin/theriac"
sed '/^--- /,$d' "$case" >"$work/lines"

unset NO_COLOR COLUMNS LANG LC_CTYPE
PATH=$work/bin:$PATH HOME=$work/here LC_ALL=C TERM=dumb
export PATH HOME LC_ALL TERM
(cd "$work/here" && sh "$work/lines" >"$work/stdout" 2>"$work/stderr" </dev/null)
code=$?
[ $code = 77 ] && echo "skipped: $(head -n 1 "$work/stderr")" && exit 77

{
    cat "$work/lines"
    [ -s "$work/stdout" ] && echo "--- stdout" && cat "$work/stdout"
    [ -s "$work/stderr" ] && echo "--- stderr" && cat "$work/stderr"
    [ $code != 0 ] && echo "--- exit $code"
} >"$work/case"
[ $update = yes ] && cp "$work/case" "$case" && exit 0
diff -u "$case" "$work/case"
