#!/bin/bash
# Profiles of simulated machines from outside: `machine show`, `list profiles`, the files, their schema, and
# every refusal: exit status 2, one line on stderr with file or option, key, value and what would be right.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

# The files in the folder are what is compiled in: no list is edited anywhere.
mapfile -t profiles < <(cd machine/profiles && printf '%s\n' *.json | grep -v '\.schema\.json$' | sed 's/\.json$//')
show=(timeout 20 "$ALLCORES" machine show)

# ---- help --------------------------------------------------------------------------------------
run "$ALLCORES" --help
expect_in 'help names machine' "$OUT" '^  machine +[a-z]'
run "$ALLCORES" machine --help
expect_status 'machine --help' 0
expect_in 'it names show' "$OUT" '^  show +[a-z]'
run "$ALLCORES" machine show --help
expect_status 'machine show --help' 0
expect_in 'it explains --set' "$OUT" '--set KEY=VALUE'
expect_in 'it explains --json' "$OUT" '--json'

# ---- every profile is shown, with a unit and a source for every value --------------------------
# shellcheck disable=SC2016 # $1 is awk's
rows='NR > 1 && started && NF { n++; if (NF < 4) bad = bad $1 " " } /^key +value +unit +source/ { started = 1 }
      END { if (n < 40 || bad != "") { print n " rows; without source: " bad; exit 1 } }'
for profile in "${profiles[@]}"; do
    run "${show[@]}" "$profile"
    expect_status "$profile is shown" 0
    expect "$profile: every row has key, value, unit and source" awk "$rows" "$OUT"
    expect_in "$profile: the title comes first" "$OUT" "^$profile: .+"
    case $profile in
    hypothetical-64 | ideal) expect_in "$profile says that it is hypothetical" "$OUT" '^hypothetical machine: ' ;;
    *) expect_not_in "$profile is a real machine" "$OUT" '[Hh]ypothetical' ;;
    esac
done
run "${show[@]}" i7-4770
expect_in 'cycles of what is given in time' "$OUT" '^transfer_group +21 +ns = 71 cycles '
expect_in 'a value from memory says so' "$OUT" '^syscall .*\[memory\]: starting value, not verified'

# ---- overrides ---------------------------------------------------------------------------------
run "${show[@]}" i7-4770 --set l1.size=48K --set ipc=2.5 --set=lead=0 --set cores_per_group=16 --set smt=2
expect_status 'five overrides' 0
expect_in 'a size' "$OUT" '^l1\.size +48 +KiB +command line: --set l1\.size=48K$'
expect_in 'its ways follow' "$OUT" '^l1\.ways +12 +count +follows from l1\.size=48K: the 64 sets are kept$'
expect_in 'a rate' "$OUT" '^ipc +2\.5 '
expect_in 'nothing runs ahead' "$OUT" '^lead +0 +cycles '
expect_in 'hardware threads follow' "$OUT" '^32 hardware threads;'
expect_in 'the title says what was changed' "$OUT" '^i7-4770: .*, changed: .*l1\.size=48K'
run "${show[@]}" ideal --set cores_per_group=1024
expect_in '1024 hardware threads' "$OUT" '^1024 hardware threads;'
run "${show[@]}" epyc-7003 --set cores_per_group=1 --set groups_per_socket=1 --set smt=1
expect_in 'one hardware thread' "$OUT" '^1 hardware threads;'

# ---- --json is a profile file -------------------------------------------------------------------
run "${show[@]}" zec12 --set l3.size=96M --set dram=120ns --json
expect_status 'a changed profile as a file' 0
cp "$OUT" "$TMP/mine.json"
run "${show[@]}" "$TMP/mine.json" --json
expect_status 'the file is a profile' 0
expect_equal 'and the same one' "$(cat "$OUT")" "$(cat "$TMP/mine.json")"
run "${show[@]}" "$TMP/mine.json"
expect_in 'with the values that were set' "$OUT" '^dram +120 +ns = 660 cycles +command line: --set dram=120ns$'

# What the schema says of every file, and whether it says no; keys in the program and in the schema.
against_schema() {
    "$PYTHON" - machine/profiles/profile.schema.json "$@" <<'END'
import json, sys
import jsonschema
schema = json.load(open(sys.argv[1]))
validator = jsonschema.validators.validator_for(schema)
validator.check_schema(schema)
v = validator(schema)
wrong = 0
for path in sys.argv[2:]:
    for e in list(v.iter_errors(json.load(open(path))))[:5]:
        print(path, "/".join(map(str, e.absolute_path)), e.message[:200])
        wrong += 1
sys.exit(9 if wrong else 0)
END
}
for profile in "${profiles[@]}"; do
    run "${show[@]}" "$profile" --json
    cp "$OUT" "$TMP/$profile.json"
    expect "$profile fits the schema, as file and as shown" \
        against_schema "machine/profiles/$profile.json" "$TMP/$profile.json"
done
expect 'a changed profile fits the schema' against_schema "$TMP/mine.json"

# change POINTER JSON: $TMP/bad.json is zec12's file with that value there; JSON "delete" removes it.
change() {
    "$PYTHON" - "machine/profiles/zec12.json" "$TMP/bad.json" "$1" "$2" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
*path, last = sys.argv[3].split("/")
at = d
for key in path:
    at = at[key]
if sys.argv[4] == "delete":
    del at[last]
else:
    at[last] = json.loads(sys.argv[4])
json.dump(d, open(sys.argv[2], "w"))
END
}
refuses_file() { # NAME POINTER JSON KEY-AND-VALUE RIGHT [schema]: the schema knows it too
    change "$2" "$3" || fail "refused: $1" 'the test could not make the file'
    bad "refused: $1" "$4" "${show[@]}" "$TMP/bad.json"
    expect_in "  it names the file: $1" "$ERR" "bad\.json"
    expect_in "  it says what would be right: $1" "$ERR" "$5"
    if [ "${6:-}" = schema ]; then expect_not "  the schema refuses it too: $1" against_schema "$TMP/bad.json"; fi
}
refuses_file 'an unknown key' colour 1 "unknown key 'colour'" 'there are: name' schema
refuses_file 'a mistyped key' ipd 1 "unknown key 'ipd'" 'did you mean ipc\?' schema
refuses_file 'an unknown key in a cache' l1/sets 64 "unknown key 'l1\.sets'" 'there are: size, ways' schema
refuses_file 'an unknown key in a value' ipc/note 1 "unknown key 'ipc\.note'" 'there are: value, unit, source' schema
refuses_file 'a missing key' dram delete 'dram is missing' '"unit": "cycles"' schema
refuses_file 'a missing cache' l3 delete 'l3 is missing' 'size, ways, latency' schema
refuses_file 'a missing value' dram/value delete 'dram\.value is missing' missing schema
refuses_file 'a missing unit' dram/unit delete 'dram\.unit is missing' 'must be a string' schema
refuses_file 'a missing source' dram/source delete 'dram\.source is missing' 'must be a string' schema
refuses_file 'an empty source' dram/source '""' "dram\.source is ''" '1 to 1000 bytes' schema
refuses_file 'a bare number' dram 300 'dram is a number' '"value", "unit": "cycles", "source"' schema
refuses_file 'a wrong type' dram/value '"300"' 'dram: value is a string' 'from 1 to 100000 cycles' schema
refuses_file 'a wrong unit' dram/unit '"us"' "dram\.unit is 'us'" 'one of: cycles ns' schema
refuses_file 'a value out of range' smt/value 4 'smt: is 4' 'from 1 to 2' schema
refuses_file 'half a core' cores_per_group/value 1.5 'cores_per_group: is 1\.5' 'whole, from 1 to 1024' schema
refuses_file 'sets not a power of two' l1/size/value 90 'l1\.size: 90K of 6 ways and 256-byte lines are 60 sets' \
    'power of two: 48K or 96K, or other l1\.ways'
refuses_file 'a line not a power of two' line/value 192 'line: is 192 bytes' 'power of two: 128 or 256'
refuses_file 'too many hardware threads' cores_per_group/value 1024 \
    'cores_per_group: 1 sockets x 2 groups_per_socket x 1024 cores_per_group x 1 smt are 2048' 'from 1 to 1024'
refuses_file 'an unknown policy' l2/replacement/value '"fifo"' "l2\.replacement: is 'fifo'" 'lru, tree-plru or random' schema
refuses_file 'a flag that is a number' htm/present/value 1 'htm\.present: value is a number' 'true or false' schema
refuses_file 'a name with a slash' name '"a/b"' "name is 'a/b'" 'letters, digits' schema
refuses_file 'a hypothetical machine without the word' hypothetical true 'title is' "must say 'hypothetical machine'"
refuses_file 'caches that shrink' l3/size/value 0.75 'l3\.size: is 786432 bytes' 'at least l2\.size, which is 1048576'

printf '{"name": "x"' >"$TMP/cut.json"
bad 'refused: a file that is cut off' 'cut\.json:1:[0-9]+: ' "${show[@]}" "$TMP/cut.json"
printf '{"name": 1, "name": 2}' >"$TMP/twice.json"
bad 'refused: a key twice' 'twice\.json:1:[0-9]+: duplicate object key' "${show[@]}" "$TMP/twice.json"
bad 'refused: a file that is not there' 'absent\.json: cannot be opened: No such file' "${show[@]}" "$TMP/absent.json"
bad 'refused: a folder' 'directory' "${show[@]}" "$TMP/"

# ---- refusals of the command line ---------------------------------------------------------------
bad 'refused: no action' 'no action given' "$ALLCORES" machine
bad 'refused: an unknown action' 'did you mean show\?' "$ALLCORES" machine shwo
bad 'refused: no profile' 'no profile given; .*list profiles' "${show[@]}"
bad 'refused: two profiles' "unexpected argument 'zec12'" "${show[@]}" ideal zec12
bad 'refused: a mistyped profile' "no profile 'i7-4700'; did you mean i7-4770\?" "${show[@]}" i7-4700
bad 'refused: an unknown profile' 'there are: cascade-lake, epyc-7003, .*zec12' "${show[@]}" pentium
bad 'refused: an unknown option' 'did you mean --json\?' "${show[@]}" ideal --jsno
bad 'refused: --json with a value' '--json takes no value' "${show[@]}" ideal --json=yes
bad 'refused: --json twice' '--json is given twice' "${show[@]}" ideal --json --json
bad 'refused: --set without a value' '--set has no value' "${show[@]}" ideal --set
bad 'refused: an override without =' 'must be KEY=VALUE' "${show[@]}" ideal --set ipc
bad 'refused: an unknown key' "--set l1\.sise=48K: there is no key 'l1\.sise'; did you mean l1\.size\?" \
    "${show[@]}" ideal --set l1.sise=48K
bad 'refused: an unknown unit' "--set l1\.size=48X: 'X' is no unit of it, must be .*K.*M" "${show[@]}" ideal --set l1.size=48X
bad 'refused: no number' '--set ipc=fast: must be a number from 0\.05 to 16' "${show[@]}" ideal --set ipc=fast
bad 'refused: out of range' '--set ipc=99: is 99, must be from 0\.05 to 16' "${show[@]}" ideal --set ipc=99
bad 'refused: sets not a power of two' '--set l1\.size=48K: .*96 sets, must be a power of two: 32K or 64K' \
    "${show[@]}" i7-4770 --set l1.size=48K --set l1.ways=8
bad 'refused: a line not a power of two' '--set line=48: is 48 bytes, must be a power of two: 32 or 64' \
    "${show[@]}" ideal --set line=48
bad 'refused: too many hardware threads' '--set cores_per_group=1024: .*are 2048 hardware threads, must be from 1 to 1024' \
    "${show[@]}" ideal --set smt=2 --set cores_per_group=1024
bad 'refused: the second of two overrides' '--set dram=0: is 0 cycles' "${show[@]}" ideal --set ipc=1 --set dram=0

# ---- list --------------------------------------------------------------------------------------
run "$ALLCORES" list profiles
expect_status 'list profiles' 0
expect_in 'it names what they are' "$OUT" 'Intel Core i7-4770'
expect_in 'it labels the hypothetical machine' "$OUT" '64 hardware threads, hypothetical machine'
run "$ALLCORES" list profiles --json
cp "$OUT" "$TMP/list.json"
listed() {
    "$PYTHON" - "$TMP/list.json" "${profiles[@]}" <<'END'
import json, sys
p = {e["name"]: e for e in json.load(open(sys.argv[1]))["profiles"]}
assert sorted(p) == sorted(sys.argv[2:]), sorted(p)
assert {"cascade-lake", "epyc-7003", "hypothetical-64", "i7-4770", "ideal", "zec12"} <= set(p), sorted(p)
assert all(sorted(e) == ["htm", "hypothetical", "name", "threads", "title"] for e in p.values()), p
assert p["i7-4770"]["htm"] is True and "no hardware transactions" in p["epyc-7003"]["htm"], p
assert p["i7-4770"]["threads"] == 8 and p["epyc-7003"]["threads"] == 128
assert p["hypothetical-64"]["hypothetical"] is True and p["zec12"]["hypothetical"] is False
END
}
expect 'the list as JSON' listed

expect 'every file is built in as it is' "$PYTHON" -c '
import json, sys
for name in sys.argv[2:]:
    a = json.load(open("machine/profiles/%s.json" % name)); b = json.load(open("%s/%s.json" % (sys.argv[1], name)))
    assert a == b, name' "$TMP" "${profiles[@]}"

finish
