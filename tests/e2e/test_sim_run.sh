#!/bin/bash
# Simulated runs from the outside: named and labelled as such, equal when nothing differs, and the same
# whether they ran beside each other, were interrupted, or were built elsewhere.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

machine=sim:i7-4770
matrix=(--machine "$machine" --engine "seq,gil,norec,c7,c7:commit=log" --workload "counter,bank" --threads "1,2,4")
quick=(--repetitions 6 --min-time 0.00002 --quiet)

# python FILE... STATEMENTS: the files parsed in `d`, a list.
python() {
    "$PYTHON" -c '
import json, sys
d = [json.load(open(name)) for name in sys.argv[2:]]
exec(sys.argv[1])' "${@: -1}" "${@:1:$#-1}"
}
same() { python "$@" 'for x in d: del x["context"]
assert json.dumps(d[0]) == json.dumps(d[1])'; }
# The text of the file without the environment block: bytes, not values.
bytes() { sed '/^ "context": {$/,/^ },$/d' "$1"; }
same_bytes() { cmp <(bytes "$1") <(bytes "$2"); }

# ---- results -----------------------------------------------------------------------------------

run "$ALLCORES" run "${matrix[@]}" "${quick[@]}" --out "$TMP/a.json"
expect_status "a simulated matrix runs" 0
expect_valid "its results fit the schema" "$TMP/a.json"
expect "cells are named after the machine" python "$TMP/a.json" '
assert len(d[0]["cells"]) == 26
for c in d[0]["cells"]:
    assert c["machine"] == "sim:i7-4770" and c["name"].endswith("/sim:i7-4770"), c["name"]'
expect "intervals are over seeds" python "$TMP/a.json" '
assert all(c["interval"] == "over seeds" and c["overrides"] == [] for c in d[0]["cells"])'
expect "a seed is an interleaving of its own" python "$TMP/a.json" '
assert any(len(set(c["raw_ns"])) > 1 for c in d[0]["cells"])'
expect "what simulating took is in the environment" python "$TMP/a.json" '
s = d[0]["context"]["simulation"]
assert s["samples"] == 26 * 6 and s["accesses"] > 1000 and s["host_seconds"] > 0'
expect "time is virtual: all of a sample that is not the interval is short" python "$TMP/a.json" '
for b in d[0]["benchmarks"]:
    if b["run_type"] == "iteration":
        assert 15e3 < b["real_time"] * b["iterations"] < 400e3, b'

# ---- the same again ----------------------------------------------------------------------------

run "$ALLCORES" run "${matrix[@]}" "${quick[@]}" --jobs 1 --out "$TMP/b.json"
expect_status "the same one sample at a time" 0
expect "two runs give the same values" same "$TMP/a.json" "$TMP/b.json"
expect "two runs give the same bytes" same_bytes "$TMP/a.json" "$TMP/b.json"
run "$ALLCORES" run "${matrix[@]}" "${quick[@]}" --seed 2 --out "$TMP/seed.json"
expect_not "another seed gives other results" same "$TMP/a.json" "$TMP/seed.json"
expect_not "and other bytes" same_bytes "$TMP/a.json" "$TMP/seed.json"
run "$ALLCORES" run --machine "$machine" --engine norec --workload bank --threads 4 "${quick[@]}" --out "$TMP/one.json"
expect "a cell does not depend on what runs beside it" python "$TMP/a.json" "$TMP/one.json" '
one = d[1]["cells"][0]
assert [c["raw_ns"] for c in d[0]["cells"] if c["name"] == one["name"]] == [one["raw_ns"]]'

# ---- interrupted -------------------------------------------------------------------------------

"$ALLCORES" run "${matrix[@]}" "${quick[@]}" --out "$TMP/cut.json" >"$TMP/cut.log" 2>&1 </dev/null &
pid=$!
for ((i = 0; i < 500; i++)); do
    if [ -e "$TMP/cut.json.journal" ] && [ "$(wc -l <"$TMP/cut.json.journal")" -gt 5 ]; then break; fi
    sleep 0.01
done
kill -TERM $pid
status=0
wait $pid || status=$?
expect_equal "an interrupted run says so" "$status" 143
expect "its samples are kept" [ -s "$TMP/cut.json.journal" ]
run "$ALLCORES" run "${matrix[@]}" "${quick[@]}" --resume --out "$TMP/cut.json"
expect_status "it is resumed" 0
expect "with the same bytes in the end" same_bytes "$TMP/a.json" "$TMP/cut.json"

# ---- several machines, overrides ---------------------------------------------------------------

run "$ALLCORES" run --machine "$machine,sim:hypothetical-64,native" --engine seq,gil --workload counter --threads 1,2 \
    --repetitions 2 --min-time 0.0002 --quiet --out "$TMP/three.json"
expect_status "two simulated machines and this one" 0
expect_valid "their results fit the schema" "$TMP/three.json"
expect "each has its own baselines" python "$TMP/three.json" '
cells = d[0]["cells"]
assert len({c["machine"] for c in cells}) == 3
for c in cells:
    place = "/" + c["machine"] if c["machine"] != "native" else "threads:1"
    for ratio in ("slowdown", "scaling", "speedup_over_gil"):
        if ratio in c: assert c[ratio]["baseline"].endswith(place), (c["name"], c[ratio])
    assert "scaling" in c
    assert ("interval" in c) == (c["machine"] != "native")'
expect "what is hypothetical is called so" python "$TMP/three.json" '
for c in d[0]["cells"]: assert c.get("hypothetical", False) == ("hypothetical" in c["machine"]), c["name"]'

run "$ALLCORES" run --machine "$machine" --set l1.latency=12 --set dram=900 --engine seq --workload intset \
    --threads 1 "${quick[@]}" --out "$TMP/set.json"
expect_status "values of a profile can be set" 0
expect_valid "the results fit the schema" "$TMP/set.json"
expect "and are named" python "$TMP/set.json" '
wanted = ["l1.latency=12", "dram=900"]
assert d[0]["context"]["overrides"] == d[0]["cells"][0]["overrides"] == d[0]["plan"]["overrides"] == wanted'
run "$ALLCORES" run --machine "$machine" --engine seq --workload intset --threads 1 "${quick[@]}" --out "$TMP/unset.json"
expect "and matter" python "$TMP/set.json" "$TMP/unset.json" '
assert d[0]["cells"][0]["median_ns"] > 1.1 * d[1]["cells"][0]["median_ns"]'

run "$ALLCORES" run --machine "$machine" --engine gil --workload counter --threads 300 --repetitions 1 \
    --min-time 0.000005 --quiet --out "$TMP/many.json"
expect_status "more threads than the machine has" 0

# ---- labels ------------------------------------------------------------------------------------

run "$ALLCORES" report "$TMP/a.json" "$TMP/set.json" "$TMP/three.json" --out "$TMP/never"
expect_status "a cell is in one file only" 2
run "$ALLCORES" report "$TMP/set.json" "$TMP/three.json" --out "$TMP/report"
expect_status "a report of all machines" 0
every_figure_says_which() {
    local file
    for file in "$TMP"/report/*.gp; do
        case $file in
        *-sim-*) grep -q 'simulated: ' "$file" || return 1 ;;
        *) if grep -q 'simulated' "$file"; then return 1; fi ;;
        esac
    done
}
expect "every simulated figure says so, and no other" every_figure_says_which
expect_in "a hypothetical machine is called that" "$TMP/report/tables.md" \
    '^## simulated: hypothetical-64 \(hypothetical machine\)'
expect_in "what was set is in the label" "$TMP/report/tables.md" \
    '^## simulated: i7-4770, with l1.latency=12 dram=900'
expect_in "tables say what the interval is over" "$TMP/report/tables.md" 'the 95 % interval over seeds'
expect_in "a cell is repeated with what was set" "$TMP/report/index.html" \
    'allcores run .*--machine sim:i7-4770 --set l1.latency=12 --set dram=900'

# ---- refused -----------------------------------------------------------------------------------

never=(--engine seq --workload counter --threads 1 --out "$TMP/never.json")
bad "an unknown profile, with the nearest" 'did you mean sim:i7-4770\?' "$ALLCORES" run --machine sim:i7-4771 "${never[@]}"
bad "an unknown profile, with all" 'there are: native, sim:' "$ALLCORES" run --machine sim:abacus "${never[@]}"
bad "sim without a profile" 'sim:' "$ALLCORES" run --machine sim "${never[@]}"
bad "native with a profile" 'unknown machine' "$ALLCORES" run --machine native:i7-4770 "${never[@]}"
bad "a machine twice" 'there twice' "$ALLCORES" run --machine "$machine,$machine" "${never[@]}"
bad "a profile that is no file" 'none.json' "$ALLCORES" run --machine "sim:$TMP/none.json" "${never[@]}"
bad "--set without a simulated machine" 'add --machine sim:PROFILE' "$ALLCORES" run --set l1.size=48K "${never[@]}"
bad "--set of nothing" 'write KEY=VALUE' "$ALLCORES" run --machine "$machine" --set l1.size "${never[@]}"
bad "--set of an unknown key" 'l1.sizes' "$ALLCORES" run --machine "$machine" --set l1.sizes=48K "${never[@]}"
bad "--set of a wrong value" 'l1.size' "$ALLCORES" run --machine "$machine" --set l1.size=48 "${never[@]}"
bad "--jobs without a simulated machine" 'leave it out' "$ALLCORES" run --jobs 2 "${never[@]}"
bad "no jobs" 'from 1 to' "$ALLCORES" run --machine "$machine" --jobs 0 "${never[@]}"
bad "too many threads" 'from 1 to 1024' "$ALLCORES" run --machine "$machine" --engine gil --workload counter \
    --threads 1025 --out "$TMP/never.json"
run "$ALLCORES" run --machine "$machine" --engine gil --workload counter --threads 1 --repetitions 1 --min-time 0.00002 \
    --quiet --out "$TMP/cold.json"
run "$ALLCORES" run --machine "$machine" --engine gil --workload counter --threads 1 --repetitions 1 --min-time 0.00002 \
    --warm-up 0.001 --quiet --out "$TMP/warm.json"
expect_status 'a longer warm-up' 0
expect_valid 'its results are valid' "$TMP/warm.json"
expect 'is run, and told' "$PYTHON" - "$TMP/cold.json" "$TMP/warm.json" <<'END'
import json, sys
cold, warm = (json.load(open(f))["context"] for f in sys.argv[1:])
assert "warmup_s" not in cold and warm["warmup_s"] == 0.001
before, after = cold["simulation"]["accesses"], warm["simulation"]["accesses"]
print(before, after)
assert after > 5 * before
END
bad "too long an interval" 'to 10' "$ALLCORES" run --machine "$machine" --min-time 11 "${never[@]}"
expect "none of them wrote anything" [ ! -e "$TMP/never.json" ]

# ---- availability ------------------------------------------------------------------------------

run "$ALLCORES" list --json
cp "$OUT" "$TMP/list.json"
expect "the simulated machine and its profiles are listed" python "$TMP/list.json" '
sim = [m for m in d[0]["machines"] if m["simulated"]]
assert len(sim) == 1 and sim[0]["max_threads"] == 1024 and "i7-4770" in sim[0]["profiles"]'
expect "each engine says whether it can be simulated" python "$TMP/list.json" '
for e in d[0]["engines"]:
    a = e["available"]["sim"]
    assert a is True or "binary" in a if e["name"] == "libitm" else a is True or len(a) > 10, e
    assert e["name"] not in ("seq", "gil", "norec", "nosync", "c7") or a is True, e'
run "$ALLCORES" run --machine "$machine" --engine libitm,seq --workload counter --threads 1 "${quick[@]}" \
    --out "$TMP/libitm.json"
expect_status "an engine that cannot be simulated is left out" 0
expect_in "and why is told" "$ERR" 'unavailable: .*binary'

# ---- two builds in two folders -----------------------------------------------------------------

# Of the sources only what this needs: four engines and two workloads, compiled quickly.
build_in() {
    local folder=$1
    mkdir -p "$folder" || return
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z
    else
        find . \( -path ./build -o -path ./results/local \) -prune -o -type f -print0
    fi | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        tar --null -T - -cf - | tar -C "$folder" -xf - || return
    (cd "$folder" && rm -rf engines/{libitm,nosync} && mkdir spare && mv workloads/*.c spare/ &&
        mv spare/{counter,bank}.c workloads/ && make -j"$(nproc)" OPT=-O1 all)
}
expect "a build in one folder" build_in "$TMP/here"
expect "and in another" build_in "$TMP/over/there/somewhere"
for folder in here over/there/somewhere; do
    run "$TMP/$folder/build/allcores" run "${matrix[@]}" "${quick[@]}" --out "$TMP/$folder/build/results.json"
    expect_status "the build in $folder runs" 0
done
expect "two builds give the same bytes" same_bytes "$TMP/here/build/results.json" \
    "$TMP/over/there/somewhere/build/results.json"

finish
