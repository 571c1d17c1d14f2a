#!/bin/bash
# Claims: listed, judged by their experiments, resumed, written; and a wrong engine turns a verdict.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

# ---- list --------------------------------------------------------------------------------------

run "$ALLCORES" list claims
expect_status 'list claims' 0
expect_in 'names one' "$OUT" '^  gil-flat$'
expect_in 'says what was published' "$OUT" '^      published: '
expect_in 'and what is pending' "$OUT" '^      pending: '
run "$ALLCORES" list claims --json
expect 'JSON: every key' "$PYTHON" - "$OUT" <<'END'
import json, sys
for c in json.load(open(sys.argv[1]))["claims"]:
    assert set(c) == {"name", "statement", "source", "published", "experiments", "explorations", "pending"}, c
END

# ---- refusals ----------------------------------------------------------------------------------

bad 'an unknown claim is refused with the nearest' 'did you mean gil-flat\?' "$ALLCORES" claims gil-falt --out "$TMP/no"
bad 'a claim that is named twice is refused' 'gil-flat is named twice' "$ALLCORES" claims gil-flat gil-flat --out "$TMP/no"
bad 'a folder has a name' '--out is empty' "$ALLCORES" claims gil-flat --out ''
bad 'a folder that cannot be made is told' '--out /proc/no/where: ' "$ALLCORES" claims no-gil-today --out /proc/no/where
expect 'nothing was made' test ! -e "$TMP/no"

# ---- a folder of its own ---

cd "$TMP" || exit 1
run "$ALLCORES" claims no-gil-today --quick
expect_status 'without a folder there is one' 0
expect 'which has the name of the claim' test -s results/local/claims-quick-no-gil-today/claims.json
cd "$OLDPWD" || exit 1

# ---- one claim ---------------------------------------------------------------------------------

run "$ALLCORES" claims no-gil-today hybrid --quick --out "$TMP/claims"
expect_status 'two claims are judged' 0
expect_in 'one is pending' "$OUT" '^no-gil-today +pending$'
expect_in 'every figure says which machine it comes from' "$OUT" 'over the worse parent, .*\]; simulated: i7-4770$'
for file in claims.json claims.md index.html hybrid-parents.json hybrid-parents.svg hybrid-parents.png; do
    expect "$file is there" test -s "$TMP/claims/$file"
done
expect 'the JSON has what it should' "$PYTHON" - "$TMP/claims/claims.json" <<'END'
import json, sys
root = json.load(open(sys.argv[1]))
assert root["quick"] is True and root["context"]["compiler"], root
for c in root["claims"]:
    for key in ("id", "statement", "source", "published", "measured", "machine", "verdict", "false_if", "explanation"):
        assert key in c, key
    for m in c["measured"]:
        assert m["interval"][0] <= m["value"] <= m["interval"][1], m
END
expect_in 'the page names the simulated machine' "$TMP/claims/index.html" 'simulated: i7-4770'
cp "$TMP/claims/claims.json" "$TMP/first.json"
run "$ALLCORES" claims no-gil-today hybrid --quick --out "$TMP/claims"
expect_status 'again: nothing is measured' 0
expect 'and the verdicts are the same' cmp "$TMP/first.json" "$TMP/claims/claims.json"

# ---- a wrong engine turns the verdict ----------------------------------------------------------

# The results of a norec whose conflict detection is gone, as far as results go: a run that failed.
run "$ALLCORES" claims always-correct --quick --out "$TMP/correct"
expect_status 'plain threads are caught' 0
expect_in 'and nothing else' "$OUT" '^always-correct +reproduced$'
expect_in 'the figure has what plain threads do' "$TMP/correct/always-correct.gp" '[1-9][0-9]* of [0-9]+ wrong'
expect_in 'under chosen schedules too' "$TMP/correct/always-correct.gp" 'fails at no\. [1-9]'
expect_in 'and what the others do' "$TMP/correct/always-correct.gp" '2000 schedules'
expect 'which is drawn' test -s "$TMP/correct/always-correct.png"
expect_in 'nor under a chosen schedule' "$OUT" 'other engines of which a chosen schedule fails +0; simulated: chosen schedules, x86-TSO$'
cp "$TMP/correct/explored-blocks.json" "$TMP/explored.json"
sed 's/"asked": 2000/"asked": 1999/' "$TMP/explored.json" >"$TMP/fewer.json"
sed 's/"git_revision": "/&no/' "$TMP/correct/explored-nosync.json" >"$TMP/another.json"
"$PYTHON" - "$TMP/correct/always-correct.json" <<'END'
import json, sys
root = json.load(open(sys.argv[1]))
for c in root["cells"]:
    if c["engine"] == "norec" and c["workload"] == "counter":
        c["verify_failed"] = 1
json.dump(root, open(sys.argv[1], "w"))
END
run "$ALLCORES" claims always-correct --quick --out "$TMP/correct"
expect 'what was explored is kept' cmp "$TMP/explored.json" "$TMP/correct/explored-blocks.json"
cp "$TMP/fewer.json" "$TMP/correct/explored-blocks.json"
cp "$TMP/another.json" "$TMP/correct/explored-nosync.json"
run "$ALLCORES" claims always-correct --quick --out "$TMP/correct"
expect 'too few schedules are not kept' grep -q '"asked": 2000' "$TMP/correct/explored-blocks.json"
expect 'nor those of another build' test "$(grep -c '"git_revision": "no' "$TMP/correct/explored-nosync.json")" = 0
expect_in 'a wrong result of norec is no longer "always correct"' "$OUT" '^always-correct +not reproduced$'

# The same with a real one: norec that never validates.
if tests/mutants/tree norec.validation-skipped "$TMP/mutant" build/allcores 2>"$TMP/tree"; then
    run "$TMP/mutant/build/allcores" claims always-correct --quick --out "$TMP/not-correct"
    expect_status 'an engine without conflict detection fails' 1
    expect_in 'the program is not always correct with it' "$OUT" '^always-correct +not reproduced$'
    expect_in 'natively' "$OUT" '^ +norec: wrong cells +[1-6]; measured: native'
    expect_in 'and under a chosen schedule' "$OUT" 'other engines of which a chosen schedule fails +[1-9][0-9]*; simulated'
    expect_in 'it is told which engine' "$ERR" 'norec under a chosen schedule: '
    expect_in 'and how' "$TMP/not-correct/explored-blocks.txt" 'allcores check --replay .norec/'
else
    fail 'the mutant is built' "$(cat "$TMP/tree"; tail -n 5 "$TMP/mutant.log" | cut -c 1-300)"
fi

finish
