#!/bin/bash
# The command line from outside: what is accepted, what is refused, and how.
#
# Every refusal must be exactly one line on stderr with the hint, nothing on stdout, exit status 2, and no
# file left behind.  The program runs in an empty folder.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

mkdir "$TMP/work" "$TMP/other"
cd "$TMP/work" || exit 1

# refused HINT ARGS... : status 2, one line on stderr that contains HINT, nothing else.
refused() {
    local hint=$1 name
    shift
    name="refused: $(printf '%.60q ' "$@")"
    run timeout 60 "$ALLCORES" "$@"
    if [ "$status" -ne 2 ]; then
        fail "$name" "exit status $status, wanted 2; stderr: $(head -c 300 "$ERR")"
    elif [ "$(wc -l <"$ERR")" -ne 1 ] || [ -n "$(tail -c 1 "$ERR")" ]; then
        fail "$name" "stderr should be one line, is: $(head -c 300 "$ERR")"
    elif ! grep -qF -- "$hint" "$ERR"; then
        fail "$name" "no '$hint' in: $(head -c 300 "$ERR")"
    elif [ -s "$OUT" ]; then
        fail "$name" "something on stdout: $(head -c 300 "$OUT")"
    elif [ -n "$(ls -A)" ]; then
        fail "$name" "files were left behind: $(ls -A)"
        rm -rf ./*
    else
        pass "$name"
    fi
}

# shows TEXT ARGS... : status 0, TEXT on stdout, nothing on stderr.
shows() {
    local text=$1
    shift
    run timeout 60 "$ALLCORES" "$@"
    if [ "$status" -ne 0 ]; then
        fail "shows '$text': $*" "exit status $status; stderr: $(head -c 300 "$ERR")"
    elif ! grep -qF -- "$text" "$OUT"; then
        fail "shows '$text': $*" "it is not on stdout"
    elif [ -s "$ERR" ]; then
        fail "shows '$text': $*" "something on stderr: $(head -c 300 "$ERR")"
    else
        pass "shows '$text': $*"
    fi
}

# ---- subcommands -------------------------------------------------------------------------------
refused 'no subcommand'
refused 'no subcommand' ''
refused 'did you mean run?' rnu
refused 'did you mean list?' lsit
refused 'there are: list, run, machine, report' frobnicate
refused 'did you mean report?' reprot
refused 'subcommand' worke
refused 'did you mean --version?' --verison
refused 'did you mean --help?' --hlep
refused 'unknown option' -x
for planned in compare conflicts; do
    refused "$planned is not built yet" "$planned"
done
refused 'unknown subcommand' $'two\nlines'

# ---- help and version --------------------------------------------------------------------------
shows 'usage: allcores' --help
shows 'usage: allcores' -h
shows 'usage: allcores list' list --help
shows 'usage: allcores run' run --help
shows 'usage: allcores run' run --engine seq -h
shows 'compiler: ' --version
run "$ALLCORES" --version
expect '--version names a revision' grep -qE '^allcores ([0-9a-f]{40}|unknown)(\+dirty)?$' "$OUT"
for option in engine workload threads machine experiment repetitions min-time warm-up seed out resume latency quiet; do
    shows "--$option" run --help
done
run "$ALLCORES" run --help
cp "$OUT" "$TMP"/help
run "$ALLCORES" --help
cat "$OUT" >>"$TMP"/help
for planned in compare --conflicts --strict worker; do
    if grep -qF -- "$planned" "$TMP"/help; then
        fail "help is silent about $planned" "$(grep -F -- "$planned" "$TMP"/help)"
    else
        pass "help is silent about $planned"
    fi
done

# ---- list --------------------------------------------------------------------------------------
shows 'engines' list
shows 'workloads' list
shows 'machines' list
shows 'counter' list workloads
shows ':mode=shared|private|sharded  (default shared)' list workloads
shows 'seq' list engines
shows 'native' list machines
refused 'did you mean engines?' list engine
refused 'there are: engines, workloads, machines, profiles' list everything
refused 'unexpected argument' list engines workloads
refused 'did you mean --json?' list --jsno
refused '--json takes no value' list --json=yes
refused '--json is given twice' list --json --json
run "$ALLCORES" list workloads
expect 'list of one part shows that part only' test "$(grep -cxE 'engines|workloads|machines|profiles|experiments' "$OUT")" -eq 1
if "$ALLCORES" list >/dev/full 2>"$ERR"; then
    fail 'list says when stdout is full' 'exit status 0'
else
    expect 'list says when stdout is full' grep -q 'cannot be written: No space left' "$ERR"
fi

# jq is only a reader here: without it the JSON checks are skipped, and say so.
if command -v jq >/dev/null; then
    json() { # NAME PART FILTER : the filter is true of `list PART --json`
        run "$ALLCORES" list ${2:+"$2"} --json
        expect "JSON: $1" jq -e "$3" "$OUT" >"$TMP"/jq
    }
    json 'all parts' '' 'keys == ["claims", "engines", "experiments", "machines", "profiles", "workloads"]'
    json 'one part' engines 'keys == ["engines"]'
    json 'each engine once' engines '[.engines[].name] | . == unique and length >= 2'
    json 'each workload once' workloads '[.workloads[].name] | . == unique and length >= 2'
    json 'engines have their keys' engines \
        'all(.engines[]; (.name, .help, .stands_for | type == "string") and (.options | type == "array"))'
    json 'availability is true or a reason' engines \
        'all(.engines[].available; has("native") and all(.[]; . == true or type == "string"))'
    json 'seq is available' engines '.engines[] | select(.name == "seq").available.native == true'
    # shellcheck disable=SC2016 # $d is a variable of jq
    json 'options say their type and range' '' \
        'all((.engines[], .workloads[]).options[]; (.name | type == "string") and
         (if .type == "choice" then (.default as $d | .choices | index($d) != null)
          else (.type == "int" or .type == "real") and .min <= .default and .default <= .max end))'
    json 'counter has its modes' workloads \
        '.workloads[] | select(.name == "counter").options[] | select(.name == "mode").choices
         == ["shared", "private", "sharded"]'
    json 'machines say whether there is HTM' machines \
        '.machines[] | select(.name == "native") | (.htm == true or (.htm | type == "string"))
         and .max_threads >= 1'
else
    skip 'JSON of list' 'jq reads it, and is not installed'
fi

# ---- run: options ------------------------------------------------------------------------------
refused 'did you mean --engine?' run --engin seq
refused 'did you mean --repetitions?' run --rep 3
refused 'did you mean --min-time?' run --mintime 1
refused 'did you mean --threads?' run --thread=1
refused 'unknown option --frobnicate' run --frobnicate
refused 'unknown option --' run --=3
refused 'unknown option -t' run -t 2
refused "unexpected argument 'seq'" run seq
refused "unexpected argument '--quiet'" run -- --quiet
refused '--engine has no value' run --engine
refused '--engine has no value' run --engine --quiet
refused '--seed is given twice' run --seed 1 --seed 2
refused 'separated by commas' run --engine seq --engine nosync
refused '--resume takes no value' run --resume=yes
for planned in conflicts strict; do
    refused "--$planned is not built yet" run "--$planned"
    refused "--$planned is not built yet" run "--$planned=x"
done

# ---- run: engines, workloads, machines ---------------------------------------------------------
refused 'did you mean seq?' run --engine sqe
refused 'there are: ' run --engine qqqqqqqq
refused '--engine is empty' run --engine=
refused 'an empty name' run --engine seq,,nosync
refused 'an empty name' run --engine ,seq
refused 'seq is there twice' run --engine seq,seq
refused 'seq has none' run --engine seq:mode=fast
refused 'write --workload counter' run --engine counter
refused 'did you mean counter?' run --workload conuter
refused 'did you mean mode?' run --workload counter:mdoe=shared
refused 'did you mean private?' run --workload counter:mode=privat
refused 'must be one of shared|private|sharded' run --workload counter:mode=
refused 'write mode=shared' run --workload counter:mode
refused 'write counter:parameter=value' run --workload counter:
refused 'mode is there twice' run --workload counter:mode=shared:mode=private
refused 'from 1 to 65536' run --workload counter:shards=0
refused 'from 1 to 65536' run --workload counter:shards=65537
refused 'from 1 to 65536' run --workload counter:shards=-1
refused 'from 1 to 65536' run --workload counter:shards=many
refused 'mean the same' run --workload counter,counter:mode=shared
refused 'counter:' run --workload $'counter:mode=two\nlines'
refused 'write --engine seq' run --workload seq
refused 'did you mean native?' run --machine natvie
refused 'add --machine sim:PROFILE' run --set l1.size=48K
refused 'write KEY=VALUE' run --set l1.size
refused 'leave it out' run --jobs 2
refused 'did you mean seq?' run --engine $'se\x1b'

# ---- run: numbers ------------------------------------------------------------------------------
refused '--threads is empty' run --threads ''
refused 'from 1 to' run --threads 0
refused 'from 1 to' run --threads 1,0
refused 'from 1 to' run --threads 1000000
refused 'from 1 to' run --threads 1-1000000
refused 'from 1 to' run --threads 99999999999999999999999
refused '2 is there twice' run --threads 2,2
refused '2 is there twice' run --threads 1-3,2
refused 'write 2-4' run --threads 4-2
refused 'not a count' run --threads two
refused 'not a count' run --threads 1.5
refused 'a count is missing' run --threads 1,,2
refused 'a count is missing' run --threads -1
refused 'from 1 to 100000' run --repetitions 0
refused 'from 1 to 100000' run --repetitions -3
refused 'from 1 to 100000' run --repetitions 1e3
refused 'from 1 to 100000' run --repetitions 100001
refused 'from 1 to 100000' run --repetitions ''
for time in 0 -1 nan inf '' 1s 0x1 1e9 ' 1'; do
    refused '--min-time' run --min-time "$time"
done
for time in -1 nan '' 11; do
    refused '--warm-up' run --warm-up "$time"
done
for seed in -1 x '' 1.5 9223372036854775808 18446744073709551617; do
    refused 'from 0 to 9223372036854775807' run --seed "$seed"
done

# ---- run: where the results go -----------------------------------------------------------------
refused '--out is empty' run --out ''
refused 'is a folder' run --out "$TMP/other"
refused 'is a folder' run --out .
refused 'does not exist' run --out missing/x.json
refused 'not a regular file' run --out /dev/null
refused 'not a regular file' run --out /dev/full
refused '--out /proc/x.json' run --out /proc/x.json
refused 'no interrupted run in results/local; give --out' run --resume
mkfifo "$TMP"/fifo
refused 'not a regular file' run --out "$TMP"/fifo
echo 'not ours' >"$TMP"/letter
refused 'not a results file' run --out "$TMP"/letter
refused 'not a results file' run --out "$TMP"/letter --resume
expect 'a foreign file is left as it was' grep -qx 'not ours' "$TMP"/letter
echo '{"context": {}, "benchmarks": []}' >"$TMP"/old.json
refused 'add --resume' run --out "$TMP"/old.json
expect 'a results file is left as it was' grep -qx '{"context": {}, "benchmarks": \[\]}' "$TMP"/old.json
echo '{}' >"$TMP"/lost.json.journal
refused 'add --resume' run --out "$TMP"/lost.json
expect 'a journal is left as it was' grep -qx '{}' "$TMP"/lost.json.journal
refused 'did you mean seq?' run --out "$TMP"/new.json --engine sqe
expect 'a refused command line creates no results file' test ! -e "$TMP"/new.json
echo text >results
if run "$ALLCORES" run --repetitions 1 && [ "$status" -eq 2 ] && grep -q 'give --out FILE.json' "$ERR"; then
    pass 'a file in the place of the default folder'
else
    fail 'a file in the place of the default folder' "exit status $status: $(head -c 300 "$ERR")"
fi
rm results
if [ "$(id -u)" -ne 0 ]; then
    mkdir "$TMP"/locked && chmod 500 "$TMP"/locked
    refused 'Permission denied' run --out "$TMP"/locked/x.json
    chmod 700 "$TMP"/locked
else
    skip 'a folder without write permission' 'root may write there'
fi

# ---- run: what is accepted ---------------------------------------------------------------------
brief=(--engine seq --workload null --threads 1 --repetitions 2 --min-time 0.001)
run "$ALLCORES" run "${brief[@]}" --quiet
expect_status 'a run without --out' 0
files=(results/local/*)
expect_equal 'its results are in the default folder' "${#files[@]} ${files[0]##*.}" '1 json'
printf '%s\n' "${files[@]}" >"$OUT"
expect_in 'under the time of its start' "$OUT" '^results/local/20[0-9]{6}-[0-9]{6}Z\.json$'
run "$ALLCORES" run "${brief[@]}" --quiet
files=(results/local/*.json)
expect_equal 'the next run has a file of its own' "${#files[@]}" 2
rm -r results
run "$ALLCORES" run "${brief[@]}" --out "$TMP/mine.json"
expect_status 'a run with --out' 0
expect_in 'the seed is told' "$ERR" 'seed 1([ ,]|$)'
expect 'nothing is made beside the file' [ ! -e results ]
refused 'add --resume' run "${brief[@]}" --out "$TMP/mine.json"
run "$ALLCORES" run "${brief[@]}" --out "$TMP/mine.json" --resume
expect_status 'resuming what is complete' 0
: >"$TMP/empty.json"
run "$ALLCORES" run "${brief[@]}" --quiet --out="$TMP/empty.json"
expect_status 'an empty file is written to' 0
run "$ALLCORES" run --engine seq --workload null --threads 2 --repetitions 2 --min-time 0.001 --out "$TMP/two.json"
expect_status 'two threads of seq: nothing could run' 1
run "$ALLCORES" run --engine seq,gil --workload null --threads 1,2 --repetitions 2 --min-time 0.001 \
    --out "$TMP/beside.json"
expect_status 'two threads of seq beside others' 0
expect_in 'are listed as unavailable' "$TMP/beside.json" '"reason": .*one thread only'

# ---- run: processors ---------------------------------------------------------------------------
# Threads stay on the processors that taskset leaves, also when there are more of both.
first_cpu=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)
taskset -c "$first_cpu" "$ALLCORES" run --engine gil --workload null --threads 2 --repetitions 1 \
    --min-time 0.5 --quiet --out "$TMP/bound.json" &
bound=$!
threads_most=0
: >"$OUT"
while kill -0 "$bound" 2>/dev/null; do
    for process in $(pgrep -P "$bound"); do
        cat "/proc/$process/task"/*/status 2>/dev/null | sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' >"$TMP/now"
        threads=$(wc -l <"$TMP/now")
        [ "$threads" -le "$threads_most" ] || threads_most=$threads
        # Before there are measuring threads, hwloc visits all processors for a moment.
        [ "$threads" -lt 3 ] || cat "$TMP/now" >>"$OUT"
    done
    sleep 0.02
done
wait "$bound"
expect 'the measuring threads were seen' [ "$threads_most" -ge 3 ]
expect_equal 'threads run where taskset lets them' "$(sort -u "$OUT")" "$first_cpu"

finish
