#!/bin/bash
# engines/README.md followed literally: a new file is a workload, a new folder is an engine.
#
# The page marks its examples: `<!-- example: workloads/NAME.c -->` before a block of C that is saved under
# that name, `<!-- example: engine NAME -->` before shell commands that make an engine and run it.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

page=engines/README.md
tree=$TMP/tree
program=$tree/build/allcores
copy_tree "$tree"

example() { # MARKER: the fenced block behind the marker
    awk -v marker="<!-- example: $1 -->" '
        $0 == marker { armed = 1; next }
        armed && /^```/ { if (inside) exit; inside = 1; next }
        inside { print }' "$page"
}

workload_file=$(sed -n 's/^<!-- example: \(workloads\/[a-z0-9_]*\.c\) -->$/\1/p' "$page" | head -n 1)
engine=$(sed -n 's/^<!-- example: engine \([a-z0-9_]*\) -->$/\1/p' "$page" | head -n 1)
workload=$(basename "$workload_file" .c)
expect_not "the page's workload is a new one" [ -e "$workload_file" ]
expect_not "the page's engine is a new one" [ -e "engines/$engine" ]

# ---- a workload -------------------------------------------------------------------------------

example "$workload_file" >"$tree/$workload_file"
lines=$(wc -l <"$tree/$workload_file")
expect "the page's workload is complete in about 30 lines (it has $lines)" [ $((lines >= 20 && lines <= 40)) -eq 1 ]
expect "make builds it" make -C "$tree" -j2
run "$program" list workloads
expect_in "list names the new workload" "$OUT" "^ *$workload\b"
run "$program" run --workload "$workload" --engine seq,gil --threads 1 --repetitions 2 --min-time 0.005 \
    --out "$TMP/workload.json"
expect_status "the new workload runs" 0
expect_in "and has a result under seq" "$TMP/workload.json" "\"$workload/seq/threads:1\""
expect_in "and under gil" "$TMP/workload.json" "\"$workload/gil/threads:1\""
expect_valid "its results file fits the schema" "$TMP/workload.json"

# ---- an engine --------------------------------------------------------------------------------

example "engine $engine" >"$TMP/engine.sh"
# What the page has people type, in its order, stopping at the first command that fails.
expect "the page's commands for a new engine work" env -C "$tree" bash -eu "$TMP/engine.sh"
run "$program" list engines
expect_in "list names the new engine" "$OUT" "^ *$engine\b"
run "$program" run --workload "$workload,counter" --engine "$engine" --threads 1 --repetitions 2 \
    --min-time 0.005 --out "$TMP/engine.json"
expect_status "the new engine runs the new workload" 0
expect_in "and has a result" "$TMP/engine.json" "\"$workload/$engine/threads:1\""
expect_valid "its results file fits the schema, too" "$TMP/engine.json"
nm "$program" >"$TMP/symbols"
expect_in "its symbols carry its name" "$TMP/symbols" " ${workload}_loop__${engine}__native\$"

# ---- and neither edited a list ----------------------------------------------------------------

changed=$(cd "$tree" && find . \( -path ./build -o -path ./results \) -prune -o -type f -newer "$tree/$workload_file" -print |
    grep -v "^./engines/$engine/")
expect_equal "no other file of the tree was touched" "$changed" ''

finish
