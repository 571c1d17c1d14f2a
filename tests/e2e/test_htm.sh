#!/bin/bash
# Hardware transactions: where the engines that need them run, and what is said where they do not.
#
# Natively this holds on a computer with RTM as well as on one without: what is wanted follows from what
# `list machines` says of it.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
cd "$TMP" || exit 1

json() { $PYTHON -c "import json,sys; d=json.load(open(sys.argv[1])); print($2)" "$1"; }

run timeout 60 "$ALLCORES" list machines --json
cp "$OUT" machines.json
native=$(json machines.json "[m['htm'] for m in d['machines'] if m['name']=='native'][0]")
run timeout 60 "$ALLCORES" list engines --json
cp "$OUT" engines.json
expect_status "list engines" 0

for engine in htm hybrid; do
    available() {
        json engines.json "[e['available']['$1'] for e in d['engines'] if e['name']=='$engine'][0]"
    }
    expect_equal "$engine, native: what the machine says" "$(available native)" "$native"
    for profile in i7-4770 zec12 cascade-lake hypothetical-64 ideal; do
        expect_equal "$engine runs on $profile" "$(available sim:$profile)" True
    done
    expect_equal "$engine does not run on epyc-7003, which has no HTM" \
        "$(available sim:epyc-7003 | grep -c 'no hardware transactions')" 1
done
run timeout 60 "$ALLCORES" list engines
expect_in "the table says it of each profile" "$OUT" '^ +sim:epyc-7003: not available: .*hardware transactions'

if [ "$native" = True ]; then
    skip "htm is unavailable natively" "this computer has hardware transactions"
else
    run timeout 60 "$ALLCORES" run --engine seq,htm,hybrid --workload null --threads 1 --repetitions 1 --min-time 0.002 --out both.json
    expect_status "beside an engine that runs, it is no failure" 0
    expect_in "a warning says why" "$ERR" 'warning: null/htm/threads:1 is unavailable: .*RTM'
    expect_valid "results" both.json
    expect_equal "in the list of what is unavailable" \
        "$(json both.json "sorted(u['engine'] for u in d['unavailable'])")" "['htm', 'hybrid']"
    expect_equal "and not among the cells" "$(json both.json "[c['engine'] for c in d['cells']]")" "['seq']"
    run timeout 60 "$ALLCORES" run --engine htm,hybrid --workload null --threads 1 --repetitions 1 --min-time 0.002 --out none.json
    expect_status "nothing else was asked for: exit 1" 1
    expect_in "with a hint" "$ERR" 'nothing of what was asked for can run here; .*--machine sim:i7-4770'
fi

# Where the profile has none, that is all there is to say: no hint at a simulator.
run timeout 60 "$ALLCORES" run --machine sim:epyc-7003 --engine htm --workload null --threads 1 --repetitions 1 --out no-htm.json
expect_status "a profile without HTM: exit 1" 1
expect_not_in "without that hint" "$ERR" 'sim:i7-4770'
expect_in "and with the reason" "$ERR" 'unavailable: .*hardware transactions'

run timeout 120 "$ALLCORES" run --machine sim:i7-4770 --engine htm:policy=odaira:retries=8,htm:policy=fixed:length=4 --workload counter \
    --threads 1,2 --repetitions 2 --out sim.json
expect_status "htm in the simulator" 0
expect_valid "its results" sim.json
expect_equal "four cells" "$(json sim.json "len(d['cells'])")" 4

finish
