#!/bin/bash
# test_probe.sh - allcores machine probe from the outside: it writes a profile that the reader takes, says for
# every value how it came about, and leaves alone what is no profile.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

probe() { run timeout 120 "$ALLCORES" machine probe "$@"; }

probe --quick --out "$TMP/this computer.json"
expect_status "a quick probe" 0
expect_in "says where the profile is" "$OUT" 'this computer\.json: [0-9]+ hardware threads'
run "$ALLCORES" machine show "$TMP/this computer.json"
expect_status "the profile can be read" 0
expect_in "it is named as its file" "$OUT" '^this-computer: '
expect_in "a measured value has its method and its interval" "$OUT" \
    '^pause .*measured: .*median of 6: .* 95 % interval'
cat >"$TMP/check.py" <<'END'
import json, re, sys
values = {}
def walk(prefix, node):
    for key, value in node.items():
        if isinstance(value, dict) and "source" in value:
            values[prefix + key] = value
        elif isinstance(value, dict):
            walk(key + ".", value)
walk("", json.load(open(sys.argv[1])))
assert len(values) > 40, len(values)
for key, value in values.items():
    assert re.match("(measured|default): .{4}", value["source"]), (key, value)
v = {key: value["value"] for key, value in values.items()}
assert 0.3 < v["clock"] < 10, v["clock"]
assert 2 <= v["l1.latency"] <= v["l2.latency"] <= v["l3.latency"] <= v["dram"]
assert v["atomic"] > v["l1.latency"] / 2
assert v["transfer_group"] > v["l1.latency"]
assert v["wake"] > v["syscall"] > 0
assert 0 <= v["overlap"] <= 1 and 0 <= v["store_overlap"] <= 1 and v["ipc"] > 0.1
END
expect "every value has a unit, a source and a size that can be" \
    "$PYTHON" "$TMP/check.py" "$TMP/this computer.json"
expect_equal "nothing else is left behind" "$(find "$TMP" -name '*.json' | wc -l)" 1

cp "$TMP/this computer.json" "$TMP/before.json"
probe --quick --out "$TMP/this computer.json"
expect_status "a profile may be measured again" 0
expect_not "and is replaced" cmp -s "$TMP/before.json" "$TMP/this computer.json"

echo 'my diary' >"$TMP/diary.json"
mkdir "$TMP/folder.json"
p=("$ALLCORES" machine probe)
bad "no --out" '--out FILE.json is missing' "${p[@]}"
bad "an empty --out" '--out FILE.json is missing' "${p[@]}" --out ''
bad "a folder" 'is a folder' "${p[@]}" --out "$TMP/folder.json"
bad "what is no profile" 'is no profile; give another path' "${p[@]}" --out "$TMP/diary.json"
expect_equal "and it is as it was" "$(cat "$TMP/diary.json")" 'my diary'
bad "a folder that is not there" 'its folder does not exist' "${p[@]}" --out "$TMP/no/where.json"
bad "another ending" 'must end in .json' "${p[@]}" --out "$TMP/profile.txt"
bad "an operand" "unexpected argument 'x'" "${p[@]}" --out "$TMP/x.json" x
bad "a mistyped option" 'did you mean --quick' "${p[@]}" --quik --out "$TMP/x.json"

finish
