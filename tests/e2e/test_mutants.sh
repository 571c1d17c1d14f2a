#!/bin/bash
# test_mutants.sh - `allcores check` finds the seeded bugs of tests/mutants, each within its number of schedules.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

for patch in tests/mutants/*.patch; do
    if ! patch --quiet --dry-run --strip=1 --fuzz=0 --force <"$patch" >"$TMP/patch" 2>&1; then
        fail "$(basename "$patch") applies" "$(cat "$TMP/patch")"
    fi
done
pass 'the patches were tried on the sources'

if ! make -j"$(nproc)" mutants >"$TMP/make" 2>&1; then
    fail 'the mutants are built' "$(tail -20 "$TMP/make")"
else
    run timeout 900 tests/mutants/run
    expect_status 'every mutant goes as its header says' 0
    if [ "$status" -ne 0 ]; then grep -v ' ok$' "$OUT" | indent; fi
    found=$(awk '$NF == "ok" && $2 != "ok"' "$OUT" | wc -l)
    expect 'at least 30 are found' test "$found" -ge 30
fi

finish
