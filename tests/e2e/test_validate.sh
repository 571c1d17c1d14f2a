#!/bin/bash
# test_validate.sh - allcores machine validate from the outside: on made-up results of both machines, whose errors
# are known, and on a small real run.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# Measured and predicted times: bank by norec is predicted 10 % too slow, dict by norec 60 %, and null and the
# GIL on one thread are far off, which is not to be counted; dict by norec on two threads is not simulated.
cat >"$TMP/make.py" <<'END'
import json, sys
cells = []
def cell(machine, workload, engine, threads, ns, **ratios):
    name = "%s/%s/threads:%d" % (workload, engine, threads) + ("" if machine == "native" else "/" + machine)
    cells.append({
        "name": name, "workload": workload, "engine": engine, "machine": machine, "threads": threads,
        "samples": 8, "params": {}, "options": {}, "commits": 1, "aborts": {}, "wasted_ratio": 0,
        "ops_per_thread": {"min": 1, "max": 1}, "rss_bytes": 1, "latency_ns": None, "median_ns": ns,
        "ci95_ns": [ns * 0.99, ns * 1.01], "raw_ns": [ns * (0.965 + 0.01 * i) for i in range(8)],
        **({} if machine == "native" else {"hypothetical": False}),
        **{k: {"value": v, "ci95": [v * 0.98, v * 1.02], "baseline": name} for k, v in ratios.items()}})
times = {
    "native": {"null": (10, (20, 22), (40, 30)), "bank": (100, (110, 120), (300, 170)), "dict": (50, (55, 60), (400, 210))},
    "sim:made-up": {"null": (10, (60, 22), (40, 30)), "bank": (100, (190, 130), (330, 190)), "dict": (50, (55, 59), (640, None))},
}
for machine, workloads in times.items():
    for workload, (seq, gil, norec) in workloads.items():
        cell(machine, workload, "seq", 1, seq, slowdown=1)
        for engine, (one, two) in (("gil", gil), ("norec", norec)):
            cell(machine, workload, engine, 1, one, slowdown=one / seq)
            if two is not None:
                cell(machine, workload, engine, 2, two, scaling=one / two, speedup_over_gil=gil[0] / two)
data = json.load(open("tests/data/report-native.json"))
data.update(cells=cells, benchmarks=[], unavailable=[], failures=[{
    "workload": "dict", "engine": "norec", "machine": "sim:made-up", "threads": 2, "reason": "it did not end",
    "expected": False}])
json.dump(data, open(sys.argv[1], "w"))
END
"$PYTHON" "$TMP/make.py" "$TMP/both.json" || exit 1
validate() { run timeout 300 "$ALLCORES" machine validate "$@"; }

validate --results "$TMP/both.json" --out "$TMP/v.json"
expect_status "made-up results are compared" 0
expect_in "a cell has both ratios and its error" "$OUT" \
    '^\| bank \| norec \| 1 \| 3\.00 \[2\.94, 3\.06\] \| 3\.30 \[3\.23, 3\.37\] \| \+10 % \|'
expect_in "what is beyond 50 % is marked" "$OUT" '^\| dict \| norec \| 1 .*\+60 % \| beyond 50 %'
expect_in "the GIL on one thread is left out" "$OUT" '^\| bank \| gil \| 1 .* the GIL on one thread \|'
expect_in "median, mean and worst of what is judged" "$OUT" \
    '^Judged: 2 cells; relative error: median 35\.0 %, mean 35\.0 %, worst 60\.0 % \(dict, norec, 1 threads\)'
expect_in "the share of equal ranks" "$OUT" '^Of 3 pairs .* 3 are ranked alike \(100\.0 %\)'
expect_in "a missing cell has its reason" "$OUT" '^\| dict \| norec \| 2 \| sim:made-up \| it did not end \|'
expect "the Markdown is what was printed" cmp "$OUT" "$TMP/v.md"
cat >"$TMP/check.py" <<'END'
import json, sys
v = json.load(open(sys.argv[1]))
s = v["summary"]["slowdown"]
assert s["count"] == 2 and abs(s["median"] - 0.35) < 1e-6 and abs(s["worst"] - 0.6) < 1e-6, s
assert s["beyond_25"] == s["beyond_50"] == 1, s
assert v["ranks"] == {"pairs": 3, "alike": 3, "unlike": []}, v["ranks"]
assert v["predicted_by"] == "sim:made-up"
judged = [c for c in v["cells"] if c["judged"]]
assert all(c["workload"] != "null" for c in judged)
assert not any(c["engine"] == "gil" and c["threads"] == 1 for c in judged)
assert [m["reason"] for m in v["missing"]] == ["it did not end"]
END
expect "the JSON says the same" "$PYTHON" "$TMP/check.py" "$TMP/v.json"
expect_in "the plot is SVG" "$TMP/v.svg" '<svg'
expect_in "and says that it is simulated" "$TMP/v.svg" 'simulated: made-up'
expect_equal "and PNG" "$(od -An -tx1 -N4 "$TMP/v.png" | tr -d ' ')" 89504e47
expect_equal "nothing else is left behind" "$(find "$TMP" -name 'v.*' | wc -l)" 5

# The other way round: an engine that is predicted to be faster than the one that was.
"$PYTHON" - "$TMP/both.json" "$TMP/turned.json" <<'END'
import json, sys
data = json.load(open(sys.argv[1]))
for c in data["cells"]:
    if c["name"] == "bank/norec/threads:1/sim:made-up":
        c["median_ns"], c["raw_ns"], c["ci95_ns"] = 50, [50] * 8, [50, 50]
json.dump(data, open(sys.argv[2], "w"))
END
validate --results "$TMP/turned.json"
expect_in "a rank that is not predicted is counted" "$OUT" '^Of 3 pairs .* 2 are ranked alike \(66\.7 %\)'
expect_in "and told" "$OUT" '^\| bank \| 1 \| seq \| norec \|'

v=("$ALLCORES" machine validate)
bad "an unknown profile" 'there is no profile' "${v[@]}" --profile nonsense --results "$TMP/both.json"
bad "a results file that is not there" 'nowhere.json' "${v[@]}" --results "$TMP/nowhere.json"
bad "--engine with --results" 'leave it out' "${v[@]}" --results "$TMP/both.json" --engine seq
bad "--min-time with --results" 'leave it out' "${v[@]}" --results "$TMP/both.json" --min-time 1
bad "a file in the way" 'is not a results file' "${v[@]}" --results "$TMP/both.json" --out "$TMP/make.py"
validate --results tests/data/report-native.json
expect_status "results of one machine only" 1
expect_line "are refused in one line"

# Hardware transactions, on a profile with small caches.
if "$ALLCORES" list machines --json | grep -q '"sim"'; then
    "$ALLCORES" machine show i7-4770 --set l2.size=64K --set l3.size=256K --set tick=200us --json >"$TMP/small.json"
    validate --htm --profile "$TMP/small.json" --out "$TMP/h.json"
    expect_status "the limits of hardware transactions are found" 0
    expect_in "the empty transaction takes what the profile says" "$OUT" '^\| empty \| [0-9.]+ \| 35\.0 \| 35 \|'
    expect_in "and so does one that aborts" "$OUT" '^\| begun and aborted at once \| [0-9.]+ \| 144\.0 \| 144 \|'
    expect_in "eight lines of a set commit" "$OUT" '^\|  \| 8 \| 50 \| 1\.00 \|'
    expect_in "nine do not" "$OUT" '^\|  \| 9 \| 50 \| 0\.00 \| .* \| 50 associativity \|'
    expect_in "it says whether it was measured here" "$OUT" '^(Not measured on this computer: .*|Beside it, this computer.*)$'
    expect "the Markdown is what was printed" cmp "$OUT" "$TMP/h.md"
    expect_in "the plot says that it is simulated" "$TMP/h.svg" 'simulated: i7-4770'
    cat >"$TMP/check_htm.py" <<'END'
import json, sys
v = json.load(open(sys.argv[1]))
def curve(kernel, pattern, warm, sibling):
    return {p["x"]: p["simulated"]["commits"] / p["simulated"]["tries"] for p in v["points"]
            if (p["kernel"], p["pattern"], p["warm"], p["sibling"]) == (kernel, pattern, warm, sibling)}
K = 1024
for warm in (True, False):
    w = curve("write_capacity", "dense", warm, False)
    assert all(w[x] == (x <= 32 * K) for x in w) and 34 * K in w, w
    w = curve("write_capacity", "strided", warm, False)
    assert all(w[x] == (x <= 16 * K) for x in w), w
r = curve("read_capacity", "dense", True, False)
assert all(r[x] == (x <= 256 * K) for x in r) and 272 * K in r, r
for kernel in ("write_capacity", "read_capacity"):
    for pattern in ("dense", "strided", "random"):
        for warm in (True, False):
            alone, beside = curve(kernel, pattern, warm, False), curve(kernel, pattern, warm, True)
            assert len(alone) == len(beside) == 13, (kernel, pattern)
            assert sum(beside.values()) < sum(alone.values()), (kernel, pattern, warm)
d = [p["simulated"]["commits"] / p["simulated"]["tries"] for p in v["points"] if p["kernel"] == "duration"]
assert d[0] > 0.9 and 0.3 < d[3] < 0.7 and d[-2:] == [0, 0], d
by = {p["kernel"]: p["simulated"] for p in v["points"]}
assert by["no_sharing"]["tries"] == by["no_sharing"]["commits"], by
assert by["false_sharing"]["aborts"]["false_sharing"] == by["false_sharing"]["tries"] - by["false_sharing"]["commits"] > 0, by
END
    expect "the curves fall where the caches end" "$PYTHON" "$TMP/check_htm.py" "$TMP/h.json"
    bad "a profile without hardware transactions" 'has no hardware transactions' "${v[@]}" --htm --profile epyc-7003 --out "$TMP/e.json"
    bad "--htm with --engine" 'no meaning with --htm' "${v[@]}" --htm --engine seq
    bad "--htm with --min-time" 'no meaning with --htm' "${v[@]}" --htm --min-time 1
else
    skip "the limits of hardware transactions" "no simulated machine is built"
fi

# A small real run, where the simulated machine is built.
if "$ALLCORES" list machines --json | grep -q '"sim"'; then
    "$ALLCORES" machine show ideal --json >"$TMP/mine.json"
    validate --profile "$TMP/mine.json" --engine seq,norec --workload null,bank --threads 1,2 --repetitions 3 --out "$TMP/real.json"
    expect_status "a small run on both machines, the profile from a file" 0
    expect_in "has a prediction" "$OUT" '^\| bank \| norec \| 1 \| [0-9.]+ \| [0-9.]+ \|'
    expect_valid "its results are a results file" "$TMP/real.results.json"
    expect_in "its comparison is written" "$TMP/real.json" '"predicted_by": "sim:.*mine\.json"'
    validate --profile "$TMP/mine.json" --results "$TMP/real.results.json"
    expect_status "and compared once more" 0
else
    skip "a small run on both machines" "no simulated machine is built"
fi

finish
