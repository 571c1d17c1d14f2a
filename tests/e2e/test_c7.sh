#!/bin/bash
# test_c7.sh - engine c7 from the command line: any number of segments, and memory that runs out.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

short=(--quiet --repetitions 1 --min-time 0.002)

# ---- segments

counts=$(seq 1 64)
for commit in pause log; do
    engines=$(for n in $counts; do printf 'c7:segments=%d:commit=%s,' "$n" "$commit"; done)
    run timeout 300 "$ALLCORES" run "${short[@]}" --engine "${engines%,}" --workload bank --threads 1,5 \
        --out "$TMP/segments-$commit.json"
    expect_status "segments=1 to 64 are measured, commit=$commit" 0
    expect_equal "all of them verify, commit=$commit" \
        "$(grep -o '"name": "bank/c7[^"]*/threads:[15]"' "$TMP/segments-$commit.json" | sort -u | wc -l)" 128
done
bad 'segments=0 is refused' '1 to 64' "$ALLCORES" run --engine c7:segments=0 --workload null
bad 'segments=65 is refused' '1 to 64' "$ALLCORES" run --engine c7:segments=65 --workload null

# ---- memory that runs out: the cell fails, with the reason; the others are measured

run timeout 100 "$ALLCORES" run "${short[@]}" --engine c7:heap_mb=16,seq --threads 1 \
    --workload intset:kind=tree:range=1000000,counter --out "$TMP/full.json"
expect_status 'a full heap fails the run' 1
expect_in 'a full heap is told' "$ERR" 'c7: the heap of 16 MiB is full .*try c7:heap_mb=32$'
expect_in 'the cell is named' "$ERR" 'intset:kind=tree:range=1000000/c7:heap_mb=16/threads:1 failed'
expect_valid 'the results are whole' "$TMP/full.json"
for cell in intset:kind=tree:range=1000000/seq/threads:1 counter/seq/threads:1 counter/c7:heap_mb=16/threads:1; do
    expect_in "measured all the same: $cell" "$TMP/full.json" "\"name\": \"$cell\""
done

# Less address space than the reservation: refused at the start, likewise.
run bash -c "ulimit -v 1000000; exec timeout 100 '$ALLCORES' run ${short[*]} --engine c7,seq --threads 1 \
    --workload counter --out '$TMP/space.json'"
expect_status 'no address space fails the run' 1
expect_in 'the reason is told' "$ERR" 'c7.*cannot map 1 segments of 1024 MiB'
expect_in 'another engine is measured' "$TMP/space.json" '"name": "counter/seq/threads:1"'

finish
