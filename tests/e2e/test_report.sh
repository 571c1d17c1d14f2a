#!/bin/bash
# test_report.sh - allcores report from the outside: what it writes, what it refuses, and that a
# report which fails leaves the folder as it was.  The results in tests/data are made up.
set -u
here=$(cd "$(dirname "$0")" && pwd)
ALLCORES=$(realpath "${ALLCORES:-build/allcores}")
data=$here/../data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# check DESCRIPTION COMMAND...: the command succeeds.
check() {
    local what=$1
    shift
    if "$@" >"$work/check.out" 2>&1; then
        echo "ok - $what"
        passed=$((passed + 1))
    else
        echo "not ok - $what"
        sed 's/^/    /' "$work/check.out" "$work/err" 2>/dev/null
        failed=$((failed + 1))
    fi
}

# refused WORDS ARGS...: exit status 2 and one line on stderr that contains the words.
refused() {
    local words=$1
    shift
    local status=0
    "$ALLCORES" report "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq 2 ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -qF -- "$words" "$work/err"
}

report() { "$ALLCORES" report "$@" >"$work/out" 2>"$work/err"; }
no() { ! "$@"; }

# edit FROM TO: the made-up results with one text replaced, at $work/bad.json.
edit() {
    sed "s|$1|$2|" "$data/report-native.json" >"$work/bad.json"
    ! cmp -s "$data/report-native.json" "$work/bad.json"
}

# edited_refused FROM TO WORDS
edited_refused() { edit "$1" "$2" && refused "$3" "$work/bad.json" --out "$work/never"; }

png_is_1600_wide() {
    [ "$(od -An -tx1 -N4 "$1" | tr -d ' ')" = 89504e47 ] &&
        [ "$(od -An -tx1 -j16 -N4 "$1" | tr -d ' ')" = 00000640 ]
}
every_link_has_its_cell() {
    local link
    [ "$(grep -o 'href="#cell-[0-9]*"' "$1" | wc -l)" -gt 20 ] || return 1
    for link in $(grep -o 'href="#cell-[0-9]*"' "$1" | sort -u | tr -dc '0-9\n'); do
        grep -q "id=\"cell-$link\"" "$1" || return 1
    done
}
listing() { (cd "$1" && find . -type f -exec cksum {} + | sort -k 3); }
same_listing() { [ "$(listing "$1")" = "$2" ]; }
nothing_left_over() { [ -z "$(find "$1" -name '.*' -mindepth 1)" ]; }

# ---- what it writes
check "a report is made, with its folder" report "$data/report-native.json" --out "$work/a/b"
out=$work/a/b
for name in slowdown threads-bank threads-counter-mode-shared aborts; do
    check "$name.svg is SVG" grep -q '<svg' "$out/$name.svg"
    check "$name.svg names the machine" grep -q 'measured: native, Made-Up Processor' "$out/$name.svg"
    check "$name.png is a picture 1600 wide" png_is_1600_wide "$out/$name.png"
done
check "nothing but the report is in the folder" nothing_left_over "$out"
check "the page refers to nothing outside of itself" \
    no grep -qE '(src|href)="?(https?:|//|file:|\.)' "$out/index.html"
check "every number leads to a cell that is there" every_link_has_its_cell "$out/index.html"
check "a cell says how to measure it again" \
    grep -q 'allcores run --workload bank --engine norec --threads 2 --repetitions 8' "$out/index.html"
check "the table has the slowdown with its interval" grep -qE '^\| bank \|.* [0-9.]+ \[[0-9.]+, [0-9.]+\]' \
    "$out/tables.md"
check "unavailable engines are listed with their reason" grep -q 'has no RTM' "$out/tables.md"
check "failures are listed" grep -q 'counters add up to 91.*(expected)' "$out/tables.md"
check "a wrong cell is a count in the picture" grep -q 'failed in 7 of 8 runs' \
    "$out/aborts.svg"
check "a second report replaces the first" report "$data/report-native.json" --out "$out"
check "a script draws its figure again" sh -c "cd '$out' && gnuplot -e \"set terminal svg enhanced; \
set output 'again.svg'\" slowdown.gp && grep -q '<svg' again.svg"

check "two machines are merged" report "$data/report-native.json" "$data/report-simulated.json" \
    --out "$work/two"
check "the simulated machine has figures of its own" \
    grep -q 'simulated: hypothetical-64 (hypothetical machine)' "$work/two/slowdown-sim-hypothetical-64-2.svg"
check "the measured figure is not mixed with it" no grep -q simulated "$work/two/slowdown.svg"

# ---- text from a file is text
check "a name may hold markup and quotes" edit '"workload": "bank"' \
    "\"workload\": \"<script>x</script>:'a'=\`id\`_{b}\""
sed -i "s|\"workload\": \"bank\"|\"workload\": \"<script>x</script>:'a'=\`id\`_{b}\"|" "$work/bad.json"
check "such a name is drawn" report "$work/bad.json" --out "$work/markup"
check "and stays text in the page" no grep -q '<script>x' "$work/markup/index.html"

# ---- what it refuses
check "no file" refused "results file is missing" --out "$work/never"
check "no folder" refused "--out DIR is missing" "$data/report-native.json"
check "an unknown option" refused "unknown option --ouch" --ouch "$data/report-native.json" --out x
check "an option that is nearly right" refused "did you mean --out?" "$data/report-native.json" --ouch x
check "no folder" refused "--out DIR is missing" "$data/report-native.json"
check "no file" refused "a results file is missing" --out "$work/never"
check "a name of two lines, in one" refused "no?ne: cannot be read" "$work/no"$'\n'ne --out "$work/never"
mkfifo "$work/pipe"
check "a pipe that nobody writes to, without waiting" refused "is not a regular file" "$work/pipe" --out "$work/never"
check "a file that is not there" refused "none.json: cannot be read" "$work/none.json" --out "$work/never"
check "a folder as a file" refused "must be a results file" "$work" --out "$work/never"
head -c 3000 "$data/report-native.json" >"$work/cut.json"
lines=$(($(wc -l <"$work/cut.json") + 1))
check "a truncated file, with its line" refused "cut.json:$lines:" "$work/cut.json" --out "$work/never"
: >"$work/empty.json"
check "an empty file" refused "empty.json:1:" "$work/empty.json" --out "$work/never"
echo '{"a": 1}' >"$work/other.json"
check "JSON of another kind" refused "context: is missing" "$work/other.json" --out "$work/never"
truncate -s 300M "$work/huge.json"
check "a huge file" refused "must be at most 256 MiB" "$work/huge.json" --out "$work/never"
check "a cell without a workload" edited_refused '"workload": "bank"' '"warkload": "bank"' \
    "workload: is missing"
check "threads that are text" edited_refused '"threads": 2' '"threads": "2"' \
    "threads: is a string, must be a whole number"
check "an unknown kind of machine" edited_refused '"machine": "native"' '"machine": "moon"' \
    'must be "native" or "sim:PROFILE"'
check "a median that is not that of its samples" edited_refused '"median_ns": \([0-9]\)' '"median_ns": 7\1' \
    "must be the median of raw_ns"
check "the same cell twice" refused "is already in" "$data/report-native.json" \
    "$data/report-native.json" --out "$work/never"
check "none of them made the folder" no test -e "$work/never"

# ---- what it leaves alone
: >"$work/file"
check "an output folder that is a file" refused "must be a folder" "$data/report-native.json" \
    --out "$work/file"
check "an output folder below a file" refused "must be a folder" "$data/report-native.json" \
    --out "$work/file/x"
before=$(listing "$out")
mkdir "$work/empty" "$work/broken"
status=0
PATH=$work/empty "$ALLCORES" report "$data/report-native.json" --out "$out" 2>"$work/err" || status=$?
check "without gnuplot it names the package" grep -q 'package gnuplot-nox' "$work/err"
check "and exits with 2" [ "$status" -eq 2 ]
check "and leaves the old report as it was" same_listing "$out" "$before"
printf '#!/bin/sh\necho "\\"x.gp\\", line 3: no such thing" >&2\nexit 1\n' >"$work/broken/gnuplot"
chmod +x "$work/broken/gnuplot"
status=0
PATH=$work/broken:$PATH "$ALLCORES" report "$data/report-native.json" --out "$out" 2>"$work/err" || status=$?
check "what gnuplot complains about is told" grep -q 'could not draw slowdown.gp.*line 3' "$work/err"
check "and exits with 2" [ "$status" -eq 2 ]
check "and leaves the old report as it was" same_listing "$out" "$before"
check "and leaves nothing behind" nothing_left_over "$out"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
