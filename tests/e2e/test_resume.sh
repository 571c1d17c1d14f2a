#!/bin/bash
# However a run ends, its finished samples are kept and --resume takes the rest: SIGKILL at random moments,
# Ctrl-C, a full disk, a worker that dies.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

matrix=(run --engine gil --workload 'null,counter,counter:mode=private' --threads '1,2' --repetitions 6
    --min-time 0.02 --quiet)
samples=36 # 3 workloads x 2 thread counts x 6

# Starts the binary in the background with the signals a foreground program would have; sets $pid.
launch() {
    set -m
    "$ALLCORES" "$@" >"$OUT" 2>"$ERR" </dev/null &
    pid=$!
    set +m
}

# Waits for a condition (a command) at most 10 s.
until_true() {
    local i
    for ((i = 0; i < 1000; i++)); do
        if "$@"; then return 0; fi
        sleep 0.01
    done
    return 1
}
lines_at_least() { [ -e "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }
children() { cat "/proc/$1/task/$1/children" 2>/dev/null; }
has_child() { [ -n "$(children "$1")" ]; }

# Every record of the journal is in the results file with the time that it had.
journal_in_results() { # JOURNAL RESULTS
    "$PYTHON" - "$1" "$2" <<'END'
import json, sys
lines = open(sys.argv[1]).read().split("\n")
header = json.loads(lines[0])
cells = {c["name"]: c for c in json.load(open(sys.argv[2]))["cells"]}
count = 0
for line in lines[1:-1]:
    r = json.loads(line)
    name = header["plan"]["cells"][r["cell"]]["name"]
    want = r["elapsed_ns"] / r["ops"]
    got = cells[name]["raw_ns"][r["pass"]]
    if abs(got - want) > 1e-9 * want:
        sys.exit("%s pass %d: journal %r, results %r" % (name, r["pass"], want, got))
    count += 1
sys.exit(count == 0)
END
}
iterations() { grep -c '"run_type": "iteration"' "$1"; }

# ---- SIGKILL ----------------------------------------------------------------------------------

SEED=${SEED:-$$}
RANDOM=$SEED
echo "# moments of SIGKILL from SEED=$SEED"
kept=1 lost=0 orphans=0 kills=0
out=$TMP/killed.json
journal=$out.journal
: >"$TMP/before"
while [ "$kills" -lt 10 ]; do
    launch "${matrix[@]}" --out "$out" --resume
    # Somewhere between the start of the program and a few samples later.
    sleep "0.$(printf '%03d' $((RANDOM % 160)))"
    workers=$(children "$pid")
    if ! kill -KILL "$pid" 2>/dev/null; then break; fi
    wait "$pid" 2>/dev/null
    kills=$((kills + 1))
    for worker in $workers; do
        until_true gone "$worker" || orphans=$((orphans + 1))
    done
    [ -e "$journal" ] || continue
    # What was there stays there, byte for byte; a torn last line does not count as finished.
    head -n "$(wc -l <"$journal")" "$journal" >"$TMP/now"
    if ! cmp -s -n "$(stat -c %s "$TMP/before")" "$TMP/before" "$TMP/now"; then lost=$((lost + 1)); fi
    cp "$TMP/now" "$TMP/before"
    now=$(wc -l <"$TMP/now")
    if [ "$now" -gt "$kept" ]; then kept=$now; fi
done
expect_equal "ten kills -9 hit a running program" "$kills" 10
expect_equal "no finished sample was lost by one" "$lost" 0
expect_equal "no worker outlived one" "$orphans" 0
expect "samples were finished between them" [ "$kept" -gt 1 ]
run "$ALLCORES" "${matrix[@]}" --out "$out" --resume
expect_status "--resume completes what was killed" 0
expect_equal "all samples are there, each once" "$(iterations "$out")" "$samples"
expect "those from before the kills among them" journal_in_results "$TMP/before" "$out"
expect_not "the journal is gone when the results are there" [ -e "$journal" ]
expect_valid "the results file is valid" "$out"
cp "$out" "$TMP/copy"
run "$ALLCORES" "${matrix[@]}" --out "$out" --resume
expect_status "a further --resume has nothing to do" 0
expect "and changes nothing" cmp "$out" "$TMP/copy"
bad "--resume of a complete file with another seed is refused" 'not the results of this command line' \
    "$ALLCORES" "${matrix[@]}" --seed 5 --out "$out" --resume

: >"$out.journal"
bad "an empty journal does not make --resume write over results" 'has results already' \
    "$ALLCORES" "${matrix[@]}" --seed 5 --out "$out" --resume
expect "and they are as they were" cmp "$out" "$TMP/copy"

# ---- signals ----------------------------------------------------------------------------------

for signal in INT TERM; do
    out=$TMP/$signal.json
    launch "${matrix[@]}" --out "$out"
    until_true lines_at_least "$out.journal" 4
    workers=$(children "$pid")
    kill -"$signal" -- "-$pid" # to the whole group, as a terminal does
    status=0
    wait "$pid" || status=$?
    expect_status "SIG$signal ends a run with status 128 + its number" $((128 + $(kill -l "$signal")))
    expect_line "and one line"
    expect_in "that says how to go on" "$ERR" 'interrupted: [0-9]+ of 36 samples .*--resume'
    alive=0
    for worker in $workers; do until_true gone "$worker" || alive=1; done
    expect_equal "no worker stays" "$alive" 0
    expect_not "nothing half written is left" [ -e "$out" -o -e "$out.tmp" ]
    expect_not_in "an interrupted sample is no failure" "$out.journal" '"outcome":"(crashed|wrong|hung)"'
    cp "$out.journal" "$TMP/before"
    run "$ALLCORES" "${matrix[@]}" --out "$out" --resume
    expect_status "--resume completes it" 0
    expect_equal "with all samples" "$(iterations "$out")" "$samples"
    expect "and those of before" journal_in_results "$TMP/before" "$out"
done

# ---- journals that do not fit ------------------------------------------------------------------

out=$TMP/refused.json
launch "${matrix[@]}" --out "$out"
until_true lines_at_least "$out.journal" 4
bad "two runs do not share a journal" 'another run is writing' "$ALLCORES" "${matrix[@]}" --out "$out" --resume
kill -INT "$pid"
wait "$pid"
cp "$out.journal" "$TMP/good"
bad "another plan is refused" 'another run \(other cells\)' \
    "$ALLCORES" run --engine seq --workload null --threads 1 --repetitions 6 --min-time 0.02 --quiet --out "$out" --resume
bad "another seed is refused" 'another run \(another --seed\)' "$ALLCORES" "${matrix[@]}" --seed 9 --out "$out" --resume
bad "another warm-up is refused" 'another run \(another --warm-up\)' "$ALLCORES" "${matrix[@]}" --warm-up 0.01 --out "$out" --resume
expect "and the journal is as it was" cmp "$out.journal" "$TMP/good"
sed '3s/^.\{20\}/garbage/' "$TMP/good" >"$out.journal"
bad "damage in the middle is refused" 'line 3 is damaged' "$ALLCORES" "${matrix[@]}" --out "$out" --resume
head -c -7 "$TMP/good" >"$out.journal"
run "$ALLCORES" "${matrix[@]}" --out "$out" --resume
expect_status "a torn last line is dropped" 0
expect_in "with a note" "$ERR" 'note: the last line .* torn'
expect_equal "and its sample taken again" "$(iterations "$out")" "$samples"

# ---- a worker dies ----------------------------------------------------------------------------

out=$TMP/died.json
launch run --engine seq,gil --workload null,counter --threads 1 --repetitions 4 --min-time 0.1 --out "$out"
until_true has_child "$pid"
sleep 0.2
# shellcheck disable=SC2046 # several workers are several words
kill -KILL $(children "$pid")
status=0
wait "$pid" || status=$?
expect_status "a worker that was killed is a failure" 1
expect_equal "told in one line" "$(grep -c 'failed (sample' "$ERR")" 1
expect_in "with its reason" "$ERR" 'failed .*killed by signal 9'
expect_valid "the results file lists it" "$out"
expect_equal "and holds the other three cells whole" "$(iterations "$out")" 12
expect_in "and the reason" "$out" '"reason": ".*killed by signal 9'
run "$ALLCORES" run --engine seq,gil --workload null,counter --threads 1 --repetitions 4 --min-time 0.1 --out "$out" --resume
expect_status "a resumed failure stays a failure" 1

# ---- no room ----------------------------------------------------------------------------------

small=(run --engine 'seq,gil' --workload null --threads 1 --repetitions 6 --min-time 0.002 --quiet)
run bash -c 'ulimit -f 4 && exec "$@"' - "$ALLCORES" "${small[@]}" --out "$TMP/limited.json"
expect_status "a limit on file sizes ends a run with status 2" 2
expect_line "and one line"
expect_in "that names the file" "$ERR" 'limited\.json.*: File too large'
run "$ALLCORES" "${small[@]}" --out "$TMP/limited.json" --resume
expect_status "without the limit --resume completes it" 0
expect_equal "with all samples" "$(iterations "$TMP/limited.json")" 12

disk=$TMP/disk
mkdir "$disk"
if mount -t tmpfs -o size=64k none "$disk" 2>/dev/null; then
    for pages in 1 2 3 4; do # room for 4 KiB more each time: the journal, then the results do not fit
        rm -f "$disk"/*
        head -c $((65536 - 4096 * pages)) /dev/zero >"$disk/filler"
        run "$ALLCORES" "${small[@]}" --out "$disk/full.json"
        expect_status "a disk with $((4 * pages)) KiB left ends a run with status 2" 2
        expect_line "and one line"
        expect_in "that says why" "$ERR" 'full\.json.*: No space left on device'
        expect_not "nothing half written is left" [ -e "$disk/full.json" -o -e "$disk/full.json.tmp" ]
        cp "$disk/full.json.journal" "$TMP/before" 2>/dev/null
        rm "$disk/filler"
        run "$ALLCORES" "${small[@]}" --out "$disk/full.json" --resume
        expect_status "with room --resume completes it" 0
        expect_equal "with all samples" "$(iterations "$disk/full.json")" 12
    done
    umount "$disk"
else
    skip "a full disk" "mounting a small one takes root"
fi

# ---- odd surroundings -------------------------------------------------------------------------

run bash -c 'exec "$@" <&- 2>&-' - "$ALLCORES" "${small[@]}" --out "$TMP/closed.json"
expect_status "closed standard files do not end up in the journal" 0
expect_valid "the results are whole" "$TMP/closed.json"
run bash -c 'trap "" CHLD; exec "$@"' - "$ALLCORES" "${small[@]}" --out "$TMP/chld.json"
expect_status "ignored SIGCHLD does not confuse a run" 0

# ---- an engine that needs an environment of its own ---------------------------------------------

if "$ALLCORES" list engines 2>/dev/null | grep -q libitm; then
    launch run --engine seq,libitm:method=ml_wt,libitm:method=gl_wt --workload null --threads 1 --repetitions 2 \
        --min-time 0.3 --quiet --out "$TMP/itm.json"
    both_environments() {
        local seen='' c
        for c in $(children "$pid"); do
            seen+=$(tr '\0' '\n' <"/proc/$c/environ" 2>/dev/null | grep '^ITM_DEFAULT_METHOD=')' '
        done
        [[ $seen == *=ml_wt* && $seen == *=gl_wt* ]]
    }
    expect "each method has a process with its environment" until_true both_environments
    wait "$pid"
    expect_equal "and is measured" "$(iterations "$TMP/itm.json")" 6
else
    skip "environments of engines" "libitm is not in this build"
fi

finish
