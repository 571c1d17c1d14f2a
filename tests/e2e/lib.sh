# shellcheck shell=bash
# lib.sh - what the end-to-end scripts share.  A script sources it, makes its checks, calls `finish`.
#
# Every check prints `ok - NAME`, `not ok - NAME` or `skip - NAME: REASON`; finish prints the closing line
# `N passed, N failed` (and `, N skipped` if there were any) and exits 1 if a check failed or none ran.  A
# script that ends without a closing line counts as failed (tests/run).
#
#   ROOT        top of the source tree; scripts start there
#   ALLCORES    the binary under test, absolute; build/allcores unless the environment names another
#   TMP         a folder of this script's own, removed when it ends (kept and named if KEEP_TMP is set)
#
#   run CMD...               runs it with stdin closed off; sets $status, and $OUT and $ERR hold what it printed
#   pass NAME                a check that passed
#   fail NAME [DETAIL]       one that did not; DETAIL is shown indented
#   skip NAME REASON         one that cannot be made here
#   expect NAME CMD...       passes if CMD exits 0; shows what it printed otherwise
#   expect_not NAME CMD...   passes if CMD exits with something else
#   expect_status NAME N     the last `run` exited with N; shows its stderr otherwise
#   expect_line NAME         the last `run` wrote exactly one line to stderr
#   expect_in NAME FILE ERE  a line of FILE matches the extended regular expression
#   expect_not_in NAME FILE ERE
#   expect_equal NAME GOT WANTED
#   expect_valid NAME FILE   FILE is JSON without NaN or double keys and fits harness/results.schema.json
#   expect_invalid NAME FILE FILE is JSON that does not fit it
#   copy_tree FOLDER         copies the sources, and the build with them, so that make there starts from it
#   bad NAME ERE CMD...      bad input: CMD exits 2 with one line on stderr that matches ERE

set -u

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT" || exit 1
ALLCORES=$(realpath -m "${ALLCORES:-build/allcores}")
export ALLCORES
TMP=$(mktemp -d) || exit 1
OUT=$TMP/.stdout
ERR=$TMP/.stderr
status=0
passed=0 failed=0 skipped=0
# A make that a script starts is not a part of the make that started the script.
unset MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES GNUMAKEFLAGS SAN
# Debian's modules belong to Debian's Python, whatever else is first in PATH.
PYTHON=/usr/bin/python3
[ -x $PYTHON ] || PYTHON=python3

cleanup_tmp() {
    if [ -n "${KEEP_TMP:-}" ]; then
        echo "# kept: $TMP"
    else
        chmod -R u+rwX "$TMP" 2>/dev/null
        rm -rf "$TMP"
    fi
}
trap cleanup_tmp EXIT

if [ ! -x "$ALLCORES" ]; then
    echo "not ok - $ALLCORES exists: build it with make"
    echo "0 passed, 1 failed"
    exit 1
fi

indent() { sed -n '1,20s/^/#   /p'; }

pass() {
    passed=$((passed + 1))
    echo "ok - $1"
}

fail() {
    failed=$((failed + 1))
    echo "not ok - $1"
    if [ $# -gt 1 ]; then printf '%s\n' "$2" | indent; fi
}

skip() {
    skipped=$((skipped + 1))
    echo "skip - $1: $2"
}

run() {
    status=0
    "$@" >"$OUT" 2>"$ERR" </dev/null || status=$?
}

expect() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1 </dev/null); then
        pass "$name"
    else
        fail "$name" "$* exited with $?
$output"
    fi
}

expect_not() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1 </dev/null); then
        fail "$name" "$* exited with 0
$output"
    else
        pass "$name"
    fi
}

expect_status() {
    if [ "$status" -eq "$2" ]; then
        pass "$1"
    else
        fail "$1" "exit status $status, wanted $2; stderr:
$(cat "$ERR")"
    fi
}

expect_line() {
    if [ "$(wc -l <"$ERR")" -eq 1 ]; then
        pass "$1"
    else
        fail "$1" "stderr should be one line, is:
$(cat "$ERR")"
    fi
}

expect_in() {
    if grep -Eq -e "$3" -- "$2"; then
        pass "$1"
    else
        fail "$1" "no line matches: $3
$(cat -- "$2")"
    fi
}

expect_not_in() {
    if [ -r "$2" ] && ! grep -Eq -e "$3" -- "$2"; then
        pass "$1"
    else
        fail "$1" "unreadable, or a line matches: $3
$(grep -E -e "$3" -- "$2")"
    fi
}

expect_equal() {
    if [ "$2" = "$3" ]; then
        pass "$1"
    else
        fail "$1" "got:    $2
wanted: $3"
    fi
}

# Exit status 9 says that it does not fit; any other but 0, that it could not be checked.
valid() {
    "$PYTHON" - "$ROOT/harness/results.schema.json" "$1" <<'END'
import json, sys
import jsonschema

def unique(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        sys.exit("a key appears twice among: %s" % ", ".join(keys))
    return dict(pairs)

def constant(name):
    sys.exit("%s is not JSON" % name)

with open(sys.argv[1]) as f:
    schema = json.load(f)
with open(sys.argv[2]) as f:
    data = json.load(f, object_pairs_hook=unique, parse_constant=constant)
validator = jsonschema.validators.validator_for(schema)
validator.check_schema(schema)
errors = list(validator(schema).iter_errors(data))
for error in errors[:10]:
    print("/".join(map(str, error.absolute_path)) + ": " + error.message[:300])
sys.exit(9 if errors else 0)
END
}

expect_valid() {
    local output
    if output=$(valid "$2" 2>&1); then
        pass "$1"
    else
        fail "$1" "$2:
$output"
    fi
}

expect_invalid() {
    local output got=0
    output=$(valid "$2" 2>&1) || got=$?
    if [ "$got" -eq 9 ]; then
        pass "$1"
    else
        fail "$1" "$2: fits the schema, or was not checked (exit status $got)
$output"
    fi
}

copy_tree() {
    mkdir -p "$1" || return
    # Times are kept: objects stay newer than their sources.
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard -z
    else
        find . \( -path ./build -o -path ./results/local \) -prune -o -type f -print0
    fi | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        tar --null -T - -cf - | tar -C "$1" -xf - || return
    [ ! -d build ] || tar --exclude='build/san-*' -cf - build | tar -C "$1" -xf -
}

bad() {
    local name=$1 pattern=$2
    shift 2
    run "$@"
    if [ "$status" -eq 2 ] && [ "$(wc -l <"$ERR")" -eq 1 ] && grep -Eq -e "$pattern" "$ERR"; then
        pass "$name"
    else
        fail "$name" "exit status $status, wanted 2, and one line on stderr that matches: $pattern
$(cat "$ERR")"
    fi
}

finish() {
    printf '%d passed, %d failed' "$passed" "$failed"
    if [ "$skipped" -gt 0 ]; then printf ', %d skipped' "$skipped"; fi
    echo
    if [ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]; then exit 0; fi
    exit 1
}
