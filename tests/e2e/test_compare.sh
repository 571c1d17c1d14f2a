#!/bin/bash
# A results file reads in Google Benchmark's own compare.py (Debian: libbenchmark-tools, python3-scipy).
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

tool=''
for place in /usr/share/benchmark /usr/share/googlebenchmark/tools /usr/local/share/googlebenchmark/tools; do
    if [ -e "$place/compare.py" ]; then tool=$place/compare.py; fi
done
if [ -z "$tool" ] || ! "$PYTHON" -c 'import scipy.stats' 2>/dev/null; then
    skip "compare.py reads a results file" \
        "Google Benchmark's compare.py or SciPy is not installed; scripts/setup compare installs both"
    finish
fi

measure() { # FILE SEED
    "$ALLCORES" run --engine seq,gil,gil:mode=section,nosync --workload null,counter --threads 1,2 \
        --repetitions 3 --min-time 0.005 --seed "$2" --quiet --out "$1"
}
expect "a first results file" measure "$TMP/old.json" 1
expect "a second results file" measure "$TMP/new.json" 2

run "$PYTHON" "$tool" benchmarks "$TMP/old.json" "$TMP/new.json"
expect_status "compare.py benchmarks compares two files" 0
for cell in null/seq/threads:1 counter/seq/threads:1 counter/gil/threads:1 counter/gil/threads:2 \
    counter/gil:mode=section/threads:2; do
    expect_in "and has a line for $cell" "$OUT" "^$cell +[+-][0-9.]+ "
done
expect_in "and a median of the repetitions" "$OUT" '^counter/gil/threads:1_median +[+-][0-9.]+ |^counter/gil/threads:1_pvalue '
expect_not_in "without a value that is not a number" "$OUT" '[+-]?(nan|inf)\b'

run "$PYTHON" "$tool" filters "$TMP/old.json" /seq/ /gil/
expect_status "compare.py filters compares two engines of a file" 0
expect_in "and pairs their cells" "$OUT" '^counter\[/seq/ vs\. /gil/\]threads:1 +[+-][0-9.]+ '

# The tool must be able to say no, or the above would mean little.
head -c 300 "$TMP/old.json" >"$TMP/broken.json"
run "$PYTHON" "$tool" benchmarks "$TMP/old.json" "$TMP/broken.json"
expect_not "a truncated file is refused" [ "$status" -eq 0 ]

finish
