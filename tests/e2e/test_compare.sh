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

compare() { run "$PYTHON" "$tool" --no-color "$@"; }

compare benchmarks "$TMP/old.json" "$TMP/new.json"
expect_status "compare.py benchmarks compares two files" 0
for cell in null/seq/threads:1 counter/seq/threads:1 counter/gil/threads:1 counter/gil/threads:2 \
    counter/gil:mode=section/threads:2; do
    expect_equal "and pairs the three samples of $cell" "$(grep -Ec "^$cell +[+-][0-9.]+ " "$OUT")" 3
    expect_in "and tests whether they differ" "$OUT" "^${cell}_pvalue +[0-9.]+ .*Repetitions: 3 vs 3"
done
expect_not_in "without a value that is not a number" "$OUT" '[+-]?\b(nan|inf)\b'

compare filters "$TMP/old.json" /seq/ /gil/
expect_status "compare.py filters compares two engines of a file" 0
for workload in null counter; do
    expect_equal "and pairs their samples of $workload" \
        "$(grep -Ec "^$workload\[/seq/ vs\. /gil/\]threads:1 +[+-][0-9.]+ " "$OUT")" 3
done

# Twice the time is +1.0000, whatever was measured: the numbers it reads are ours.
expect "a file with all times doubled" "$PYTHON" -c '
import json, sys
d = json.load(open(sys.argv[1]))
for b in d["benchmarks"]:
    b["real_time"] *= 2
json.dump(d, open(sys.argv[2], "w"))' "$TMP/old.json" "$TMP/double.json"
compare benchmarks "$TMP/old.json" "$TMP/double.json"
expect_equal "compare.py finds that counter under gil takes twice as long" \
    "$(sed -n 's,^counter/gil/threads:1 \+\([^ ]*\) .*,\1,p' "$OUT" | sort -u)" '+1.0000'

# The tool must be able to say no, or the above would mean little.
head -c 300 "$TMP/old.json" >"$TMP/broken.json"
compare benchmarks "$TMP/old.json" "$TMP/broken.json"
expect "a truncated file is refused" [ "$status" -ne 0 ]

finish
