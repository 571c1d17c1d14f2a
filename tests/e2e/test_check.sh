#!/bin/bash
# test_check.sh - `allcores check` from the command line: what it finds, how it tells, and that a line replays.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# ---- nothing to find

for model in sc tso; do
    run timeout 200 "$ALLCORES" check --engine norec,gil,gil:mode=section,gil:barrier=gc --schedules 4000 --model $model
    expect_status "engines are correct under 4000 schedules each, $model" 0
    expect_equal "each says so, $model" "$(grep -c 'schedules of .*nothing found' "$OUT")" 4
done
run timeout 60 "$ALLCORES" check --engine norec --program rmw,rmw --strategy dpor --schedules 100000
expect_status 'a pair is searched to the end' 0
expect_in 'and that is told' "$OUT" '1 programs exhausted$'
run timeout 60 "$ALLCORES" check --engine htm --program rmw,ro --strategy dpor --schedules 100000
expect_in 'of hardware transactions with what it does not try' "$OUT" 'exhausted \(without injected aborts\)$'
run timeout 60 "$ALLCORES" check --engine norec --schedules 2000
expect_in 'how much of the catalogue was met is told' "$OUT" '; [0-9]+ of 250 pairs, [0-9]+ of 1634 triples'

# ---- nosync

run timeout 60 "$ALLCORES" check --engine nosync --program skewl,skewr --seed 5 --out "$TMP/nosync.json"
expect_status 'nosync is caught' 1
expect_in 'with the cycle' "$OUT" 'no order of the blocks explains what they read; the cycle:'
expect_in 'and the accesses, with their lines' "$OUT" '(load|store) .* check/programs.c:[0-9]+'
expect_in 'few preemptions are left' "$OUT" '^[1-4] preemptions?$'
cp "$OUT" "$TMP/first"
line=$(sed -n "s/^  allcores check --replay '\(.*\)'$/\1/p" "$OUT")
expect_equal 'the summary has the line' \
    "$($PYTHON -c 'import json,sys; print(json.load(open(sys.argv[1]))["check"][0]["replay"])' "$TMP/nosync.json")" "$line"
run timeout 60 "$ALLCORES" check --engine nosync --program skewl,skewr --seed 5
expect 'a second run prints the same' cmp "$OUT" "$TMP/first"
run timeout 60 "$ALLCORES" check --replay "$line"
expect_status 'the line fails again' 1
sed -n '/^nosync on/,/^[1-4] preemption/p' "$TMP/first" >"$TMP/story"
expect 'and tells the same story' cmp "$OUT" "$TMP/story"
"$ALLCORES" check --replay 'gil/rmw,put/tso/0@10:1' >"$TMP/first" 2>&1 </dev/null
"$ALLCORES" check --replay 'gil/rmw,put/tso/0@10:1' >"$TMP/second" 2>&1 </dev/null
expect 'stories have no addresses of a process' cmp "$TMP/first" "$TMP/second"
expect_in 'data of engines have names' "$TMP/first" 'locked tm_gil'
items=qin+qin+qin+qin+qin+qin+qin+qin
run timeout 60 "$ALLCORES" check --engine gil --program $items,$items,$items,$items,$items --schedules 20
expect_status 'a queue has room for all that programs push' 0
run timeout 60 "$ALLCORES" check --replay 'nosync/rmw,rmw/sc/'
expect_status 'without a switch it does not fail' 0
run timeout 60 "$ALLCORES" check --replay 'norec/rmw,ro/tso/0@60:1,1@70:0'
expect_status 'a correct engine does not fail under a line' 0

# ---- irrevocable blocks that free

for program in ireplace,follow ireplace,bump ireplace,ireplace,follow ireplace,replace,follow+follow; do
    run timeout 100 "$ALLCORES" check --program $program --schedules 1000
    expect_status "$program: nothing is freed too early" 0
    expect_not 'nor anything else found' grep -qv 'nothing found$' "$OUT"
done

# ---- a reactor

reactor=event+event+event,event+event+event
run timeout 100 "$ALLCORES" check --engine gil,norec,hybrid --program $reactor --schedules 1000
expect_status 'a reactor ends as with one thread' 0
expect_equal 'on each engine' "$(grep -c '1000 schedules of 1 programs.*nothing found' "$OUT")" 3
run timeout 60 "$ALLCORES" check --engine nosync --program $reactor --schedules 1000 --out "$TMP/reactor.json"
expect_status 'but not with plain threads' 1
expect_in 'the story has the sessions' "$OUT" 'reads session[01] = '
expect_equal 'the summary says what was asked' "$($PYTHON -c 'import json,sys
c = json.load(open(sys.argv[1]))["check"][0]
print(c["program"], c["asked"], c["unsafe"], c["schedules"] <= 1000)' "$TMP/reactor.json")" "$reactor 1000 True True"
bad 'a reactor has nothing in common with words' 'different containers' "$ALLCORES" check --program event,rmw
run timeout 60 "$ALLCORES" check --engine gil --schedules 300 --out /proc/no/where.json
expect_status 'a summary that cannot be written is told' 2

# ---- bad input

bad 'an engine that is not simulated is refused' 'libitm is not simulated' "$ALLCORES" check --engine libitm
bad 'an unknown engine is refused' 'nrec' "$ALLCORES" check --engine nrec
bad 'an unknown transaction is refused' "'rwm' is no transaction" "$ALLCORES" check --program rwm,ro
bad 'a program that may never end is refused' 'never find a token' "$ALLCORES" check --program get,ro
bad 'an unknown model is refused' 'sc or tso' "$ALLCORES" check --model arm
bad 'an unknown strategy is refused' 'random, pct or dpor' "$ALLCORES" check --strategy bfs
bad 'no schedules are refused' 'from 1 on' "$ALLCORES" check --schedules 0
bad 'dpor explores sc only' 'sc only' "$ALLCORES" check --strategy dpor --model tso
bad 'a line that is none is refused' 'a line is ENGINE/PROGRAM' "$ALLCORES" check --replay norec/rmw
bad 'a schedule that is none is refused' 'is no schedule' "$ALLCORES" check --replay 'norec/rmw,ro/sc/0@x:1'
bad 'a line says it all' 'leave --seed out' "$ALLCORES" check --replay 'norec/rmw,ro/sc/' --seed 3

finish
