#!/bin/bash
# Named experiments: listed, run, resumed after a kill, drawn; a new one is one new file; and the cost of a
# bytecode is what the workload says.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

short=(--repetitions 2 --min-time 0.00002 --quiet)

# ---- list --------------------------------------------------------------------------------------

run "$ALLCORES" list experiments
expect_status 'list experiments' 0
expect_in 'names one and its question' "$OUT" '^  gil-flat$'
expect_in 'and says what one should see' "$OUT" '^      shows: Expect '
run "$ALLCORES" list experiments --json
expect 'JSON: every key, and true or a reason' "$PYTHON" - "$OUT" <<'END'
import json, sys
for e in json.load(open(sys.argv[1]))["experiments"]:
    assert set(e) == {"name", "title", "question", "expect", "machine", "cells", "available"}, e
    assert (e["available"] is True) == (e["cells"] > 0), e
END

# ---- refusals ----------------------------------------------------------------------------------

bad 'an unknown name is refused with the nearest' 'did you mean gil-flat\?' "$ALLCORES" run --experiment gil-falt
for option in engine workload threads machine; do
    bad "--experiment does not go with --$option" "leave --$option out" \
        "$ALLCORES" run --experiment gil-flat "--$option" 1
done
bad 'a value of no profile is refused' 'groups\[0\]: --machine sim:i7-4770: ' \
    "$ALLCORES" run --experiment gil-flat --set nothing=1
unavailable=$("$ALLCORES" list experiments --json | "$PYTHON" -c '
import json, sys
print(" ".join(e["name"] for e in json.load(sys.stdin)["experiments"] if e["available"] is not True))')
for name in $unavailable; do
    bad "$name, whose engine is not there, says so" "experiment $name: groups\\[[0-9]+\\]: .*unknown" \
        "$ALLCORES" run --experiment "$name"
done

# ---- run, kill, resume, draw -------------------------------------------------------------------

out=$TMP/flat.json
set -m
"$ALLCORES" run --experiment gil-flat "${short[@]}" --jobs 1 --out "$out" >"$OUT" 2>"$ERR" </dev/null &
pid=$!
set +m
for ((i = 0; i < 1000; i++)); do
    if [ -e "$out.journal" ] && [ "$(wc -l <"$out.journal")" -ge 5 ]; then break; fi
    sleep 0.01
done
kill -KILL "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
expect 'a killed run leaves its journal' [ -s "$out.journal" ]
expect_not 'and no figure' [ -e "$TMP/flat.svg" ]
kept=$(wc -l <"$out.journal")
run "$ALLCORES" run --experiment gil-flat --repetitions 2 --min-time 0.00002 --out "$out" --resume
expect_status '--resume completes it' 0
expect_in 'what was there is kept' "$ERR" 'resuming: [0-9]+ of them are there'
expect 'some of it was there' [ "$kept" -gt 1 ]
expect_in 'the sentence is printed' "$OUT" '^Expect the GIL flat at 1 '
expect_in 'and where the figure is' "$OUT" 'flat\.svg'
expect_valid 'the results file is valid' "$out"
expect_in 'and has the name of the experiment' "$out" '"name": "gil-flat"'
expect 'the figure is there as SVG' grep -q '<svg' "$TMP/flat.svg"
expect 'and as PNG' test -s "$TMP/flat.png"
expect_in 'the machine stands on it' "$TMP/flat.svg" 'simulated: i7-4770'
expect_equal 'all cells are there' "$(grep -c '"median_ns"' "$out")" 24
rm "$TMP/flat.svg"
run "$ALLCORES" run --experiment gil-flat "${short[@]}" --out "$out" --resume
expect_status 'a further --resume has nothing to do' 0
expect 'and draws the figure again' test -s "$TMP/flat.svg"
run "$ALLCORES" report "$out" --out "$TMP/report"
expect_status 'a report of it' 0
expect 'has its figure, too' test -s "$TMP/report/experiment-gil-flat.svg"
expect_in 'with the sentence' "$TMP/report/index.html" '<figcaption>Expect the GIL flat'
sed 's/"scale": "log"/&/; s/"parameter": "threads"/"parameter": "thread"/' "$out" >"$TMP/broken.json"
bad 'a damaged experiment is refused with its place' 'broken.json: experiment: figure.x.parameter: is .thread' \
    "$ALLCORES" report "$TMP/broken.json" --out "$TMP/report2"

# ---- bars, and names in plain words -------------------------------------------------------------

run "$ALLCORES" run --experiment counter-kills "${short[@]}" --out "$TMP/kills.json"
expect_status 'an experiment whose second panel has bars' 0
expect_in 'curves are named in plain words' "$TMP/kills.gp" '"htm, one counter"'
expect 'the bar of an engine ends at its aborts per commit, split by cause' "$PYTHON" - "$TMP/kills.json" "$TMP/kills.gp" <<'END'
import json, re, sys
cell = next(c for c in json.load(open(sys.argv[1]))["cells"]
            if c["name"].startswith("eventloop:work=100:mode=counter/htm:policy=wait/threads:16"))
aborts = {k: v for k, v in cell["aborts"].items() if v}
script = open(sys.argv[2]).read().split('label "htm, one counter" at first')[1].split("set label")
bar = [float(to) for to in re.findall(r"to first ([0-9.e+-]+),", script[1])]
words = script[1].split('"')[1]
print(aborts, cell["commits"], bar, words)
assert len(aborts) > 1 and len(bar) == len(aborts)
assert abs(bar[-1] - sum(aborts.values()) / cell["commits"]) < 1e-6 * bar[-1]
assert bar == sorted(bar)
for cause, n in aborts.items():
    if n > 0.02 * sum(aborts.values()):
        assert f"{cause.replace('_', ' ')} {n / cell['commits']:.2g}" in words
END
"$PYTHON" - "$TMP/kills.json" "$TMP/part.json" <<'END'
import json, sys
root = json.load(open(sys.argv[1]))
before = len(root["cells"])
root["cells"] = [c for c in root["cells"] if c["engine"] != "htm:policy=wait" and not c["name"].startswith(
    "eventloop:work=100:mode=sharded:shards=64/norec/threads:16")]
assert len(root["cells"]) == before - 9 - 1
json.dump(root, open(sys.argv[2], "w"))
END
run "$ALLCORES" report "$TMP/part.json" --out "$TMP/report3"
expect_status 'a report of results that lack an engine' 0
expect_not_in 'does not name it' "$TMP/report3/experiment-counter-kills.gp" '"htm, '
expect_in 'has the figure with the others' "$TMP/report3/experiment-counter-kills.gp" '"norec, one counter" at first'
expect_not_in 'a curve without a cell at the largest x has no bar' "$TMP/report3/experiment-counter-kills.gp" '"norec, 64 parts" at first'
run "$ALLCORES" run --experiment reactor-seeds "${short[@]}" --out "$TMP/seeds.json"
expect_status 'an experiment without a figure' 0
expect_valid 'its results are valid' "$TMP/seeds.json"

# ---- a new one is a file -----------------------------------------------------------------------

if copy_tree "$TMP/tree" && cd "$TMP/tree"; then
    cat >harness/experiments/l1-sweep.json <<'END'
{"name": "l1-sweep", "title": "A larger L1", "question": "What does a larger L1 buy?", "expect": "Expect little.",
 "machine": "sim:hypothetical-64", "set": ["pause=70"], "repetitions": 2, "min_time_s": 0.00002,
 "groups": [{"engines": "seq,norec", "workloads": "txsize:objects=64", "threads": "1",
             "sweep": [{"of": "set.l1.size", "values": ["32K", "64K"]}, {"of": "workload.reads", "values": ["4", "8"]}]},
            {"engines": "gil", "workloads": "txsize:objects=64:reads=4", "threads": "2"}],
 "figure": {"x": {"parameter": "set.l1.size", "label": "KiB of L1", "scale": "log", "factor": 0.0009765625},
            "panels": [{"y": "time", "title": "time", "label": "ns"},
                       {"y": "aborts", "title": "aborts", "label": "per commit", "causes": ["validation", "explicit"]}]}}
END
    run make -s build/allcores
    expect_status 'make finds a new experiment' 0
    run build/allcores run --experiment l1-sweep --out l1.json
    expect_status 'it runs' 0
    expect_valid 'its results are valid' l1.json
    expect 'values of the profile are swept, and each has its own baseline' "$PYTHON" - l1.json <<'END'
import json, sys
cells = json.load(open(sys.argv[1]))["cells"]
names = [c["name"] for c in cells]
assert len(names) == len(set(names)) == 9, names
for c in cells:
    if c["engine"] == "norec":
        size = c["overrides"][1]
        assert c["overrides"][0] == "pause=70" and c["name"].endswith(":" + size), c["name"]
        assert c["slowdown"]["baseline"].endswith(":" + size), c["slowdown"]
END
    expect_in 'a hypothetical machine is called so' l1.svg 'hypothetical-64 \(hypothetical machine\), with pause=70'
    expect_in 'a curve is named by what tells it apart' l1.gp 'norec, 1 thread, reads=8'
    sed -i 's/"of": "set.l1.size", "values"/"of": "set.l1.size", "value"/' harness/experiments/l1-sweep.json
    run make -s build/allcores
    bad 'a mistake in it is told with its place' 'experiment l1-sweep: groups\[0\].sweep\[0\]: unknown key .value.' \
        build/allcores run --experiment l1-sweep
    sed -i 's/"value"/"values"/; s/"panels"/"names": {"txsize": "size"}, &/' harness/experiments/l1-sweep.json
    run make -s build/allcores
    bad 'a name of nothing in it, too' "experiment l1-sweep: figure.names: 'txsize' is no workload and no engine" \
        build/allcores run --experiment l1-sweep
    cd "$ROOT" || exit 1
else
    fail 'the tree can be copied'
fi

# ---- the cost of a bytecode --------------------------------------------------------------------

# Fixed before any hardware transaction was run: 15 to 40 ns, as workloads/bytecode.c says.
run "$ALLCORES" run --machine sim:i7-4770 --engine gil --workload bytecode --threads 1 --repetitions 3 --quiet \
    --out "$TMP/cost.json"
expect 'a bytecode under gil costs 15 to 40 ns on i7-4770' "$PYTHON" - "$TMP/cost.json" <<'END'
import json, sys
ns = json.load(open(sys.argv[1]))["cells"][0]["median_ns"] / 256
print(ns)
sys.exit(not 15 <= ns <= 40)
END

finish
