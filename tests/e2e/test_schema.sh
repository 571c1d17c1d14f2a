#!/bin/bash
# Every kind of results file that is written fits harness/results.schema.json, and the schema can say no.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

quick=(--repetitions 2 --min-time 0.003 --quiet)

run "$ALLCORES" run --engine seq,gil,gil:mode=section --workload null,counter:mode=shared,counter:mode=private \
    --threads 1,2 "${quick[@]}" --out "$TMP/plain.json"
expect_status "a matrix runs" 0
expect_valid "a plain results file" "$TMP/plain.json"

run "$ALLCORES" run --engine seq,nosync --workload counter:mode=shared --threads 1,2 --repetitions 4 \
    --min-time 0.02 --quiet --out "$TMP/nosync.json"
expect_status "races of nosync are no failure" 0
expect_in "they are listed" "$TMP/nosync.json" '"expected": *true'
expect_valid "a results file with expected failures" "$TMP/nosync.json"

run "$ALLCORES" run --engine gil --workload counter --threads 1 --repetitions 8 --min-time 0.003 --quiet \
    --out "$TMP/intervals.json"
expect_status "enough samples for an interval" 0
expect_valid "a results file with intervals and without a baseline" "$TMP/intervals.json"

run "$ALLCORES" run --engine seq,gil --workload null,counter --threads 1 "${quick[@]}" --resume \
    --out "$TMP/resumed.json"
expect_status "resuming what never began is beginning" 0
run "$ALLCORES" run --engine seq,gil --workload null,counter --threads 1 "${quick[@]}" --resume \
    --out "$TMP/resumed.json"
expect_status "resuming what is complete does nothing" 0
expect_valid "a resumed results file" "$TMP/resumed.json"

run "$ALLCORES" run --engine seq,gil --workload counter --threads 1,2 "${quick[@]}" --latency --out "$TMP/latency.json"
expect_status "single operations are timed" 0
expect_valid "a results file with latencies" "$TMP/latency.json"
latencies_ascend() {
    "$PYTHON" -c '
import json, sys
cells = json.load(open(sys.argv[1]))["cells"]
sys.exit(not cells or any(not 0 < l["p50"] <= l["p99"] <= l["max"] for l in (c["latency_ns"] for c in cells)))' "$1"
}
expect "every cell has them" latencies_ascend "$TMP/latency.json"

found=0
while IFS= read -r file; do
    expect_valid "$file, as committed" "$file"
    found=$((found + 1))
done < <(find results/reference -name '*.json' ! -path '*/validation/*' ! -path '*/claims/*' -o -name '*.results.json' 2>/dev/null)
expect "there are reference results" [ "$found" -gt 0 ]

# ---- the schema says no -----------------------------------------------------------------------

break_file() { # NAME PYTHON-STATEMENT on `d`, the parsed file
    if ! "$PYTHON" -c '
import json, sys
d = json.load(open(sys.argv[1]))
exec(sys.argv[2])
json.dump(d, open(sys.argv[3], "w"))' "$TMP/plain.json" "$2" "$TMP/broken.json"; then
        fail "refused: $1" "the test could not make the file"
        return
    fi
    expect_invalid "refused: $1" "$TMP/broken.json"
}
for key in context benchmarks cells failures unavailable; do
    break_file "no $key" "del d['$key']"
done
for key in workload engine machine threads samples median_ns ci95_ns commits aborts wasted_ratio \
    ops_per_thread rss_bytes latency_ns; do
    break_file "a cell without $key" "del d['cells'][0]['$key']"
done
break_file "a time that is text" "d['benchmarks'][0]['real_time'] = 'fast'"
break_file "a negative time" "d['benchmarks'][0]['real_time'] = -1"
break_file "a benchmark without time_unit" "del d['benchmarks'][0]['time_unit']"
break_file "no threads" "d['cells'][0]['threads'] = 0"
break_file "half a thread" "d['cells'][0]['threads'] = 1.5"
break_file "a negative count of commits" "d['cells'][0]['commits'] = -1"
break_file "an interval with one end" "d['cells'][0]['ci95_ns'] = [1]"
break_file "a wasted ratio above one" "d['cells'][0]['wasted_ratio'] = 1.5"
break_file "an abort count that is text" "d['cells'][0]['aborts'] = {'validation': 'many'}"
break_file "a failure without a reason" "d['failures'] = [{'workload': 'w', 'engine': 'e', 'machine': 'native', 'threads': 1}]"
break_file "a file that is a list" "d = [d]"

finish
