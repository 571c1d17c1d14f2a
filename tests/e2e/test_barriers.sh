#!/bin/bash
# The barriers of engine c7 in the machine code: a read has no branch and goes through %gs, a write is one test of
# a flag.  A probe is compiled with the flags of the build, so that a change of compiler or flags shows here.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

if [ "$(uname -m)" != x86_64 ]; then
    skip "barriers in the machine code" "the CPU is no x86-64"
    finish
fi
cat >"$TMP/probe.c" <<'C'
#include "tm.h"
struct item { TM_HEADER; uint64_t value; };
typedef TM_REF(struct item) item_ref;
struct words { TM_HEADER; uint64_t word[]; };
typedef TM_REF(struct words) words_ref;
uint64_t probe_read(TM_SELF, item_ref item);
uint64_t probe_read(TM_SELF, item_ref item) { return tm_get(item, value); }
uint64_t probe_element(TM_SELF, words_ref words, uint64_t i);
uint64_t probe_element(TM_SELF, words_ref words, uint64_t i) { return tm_get_at(words, word, i); }
void probe_write(TM_SELF, item_ref item, uint64_t v);
void probe_write(TM_SELF, item_ref item, uint64_t v) { tm_set(item, value, v); }
uint64_t probe_many(TM_SELF, const item_ref *items, uint64_t n);
uint64_t probe_many(TM_SELF, const item_ref *items, uint64_t n) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += tm_get(items[i], value);
    return sum;
}
uint64_t probe_scan(TM_SELF, words_ref words, uint64_t n);
uint64_t probe_scan(TM_SELF, words_ref words, uint64_t n) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += tm_get_at(words, word, i);
    return sum;
}
uint64_t probe_stride(TM_SELF, words_ref words, uint64_t n);
uint64_t probe_stride(TM_SELF, words_ref words, uint64_t n) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += tm_get_at(words, word, 5 * i);
    return sum;
}
C

# The C compiler and the flags of the build that is tested (the file names the C++ compiler, too).
read -r -a compile <<<"$(sed 's/ [|] .*//; s/^\([^ ]*\) [^-][^ ]* /\1 /' "$(dirname "$ALLCORES")/flags")"

code() { # FUNCTION FILE: its instructions, one a line; the part that gcc moved away as unlikely comes along
    objdump -d --no-show-raw-insn "$2" | awk -v f="$1" '
        /^[0-9a-f]+ </ { inside = ($2 == "<" f ">:" || $2 == "<" f ".cold>:") }
        inside && /^ +[0-9a-f]+:/ { sub(/^ +[0-9a-f]+:[ \t]*/, ""); print }' | sed 's/[ \t]*#.*//'
}
count() { grep -cE "$1" "$2"; }

probe() { # NAME FLAGS...: compiles the probe for c7 into $TMP/NAME.o and takes it apart
    local name=$1 f
    shift
    "${compile[@]}" -DTM_GUARD "$@" -DTM_ENGINE=c7 -DTM_MACHINE=native -c -o "$TMP/$name.o" "$TMP/probe.c" || return 1
    for f in read element write many scan stride; do
        code "probe_$f" "$TMP/$name.o" >"$TMP/$name.$f"
    done
}
no_branch() { [ "$(count '^(j|call|loop)' "$1")" -eq 0 ]; }
expect "the probe compiles" probe gs
expect "a read has no branch" no_branch "$TMP/gs.read"
expect_equal "a read is five instructions and a return" "$(grep -vcE '^(push|pop|mov +%rsp|ret|((cs|data16) )*nop|xchg +%ax,%ax)' "$TMP/gs.read")" 5
expect_in "it loads the read version" "$TMP/gs.read" '^movzbl +%gs:0x1000,'
expect_in "it computes the marker's place" "$TMP/gs.read" '^shr +[$]0x4,'
expect_in "it stores the marker" "$TMP/gs.read" '^mov +%[a-z0-9]+,%gs:\(%r[a-z0-9]+\)$'
expect_in "it loads the field" "$TMP/gs.read" '^mov +%gs:0x8\(%r[a-z0-9]+\),'
expect "a read of an element has no branch" no_branch "$TMP/gs.element"
expect_in "and stores the marker through %gs" "$TMP/gs.element" '^mov +%[a-z0-9]+,%gs:\(%r[a-z0-9]+\)$'

expect_equal "a write tests one flag" "$(count '^testb +[$]0x1,%gs:0x4\(' "$TMP/gs.write")" 1
expect_equal "and branches once" "$(count '^j(e|ne|[a-z]+) ' <(grep -vE '^jmp' "$TMP/gs.write"))" 1
expect_equal "to one call" "$(count '^(call|jmp) .*tm_c7_write|^call' "$TMP/gs.write")" 1
expect_in "and stores the field" "$TMP/gs.write" '^mov +%[a-z0-9]+,%gs:0x8\('

expect_equal "a loop over objects loads the version once" "$(count '%gs:0x1000' "$TMP/gs.many")" 1
expect_equal "and reads them one by one through %gs" "$(count '%gs:0x8\(' "$TMP/gs.many")" 1
expect_in "a loop over an array is vectorised" "$TMP/gs.scan" '^paddq'
expect_equal "and stores its marker behind the loop" "$(awk '/^paddq/ { seen = NR } /,%gs:\(/ && seen { after++ } END { print (after > 0) }' "$TMP/gs.scan")" 1
# gcc 12 drops the prefix of vectorised %gs loads that do not lie side by side.
expect "elements that do not lie side by side go through a base address" \
    grep -qE '\(%r[a-z0-9]+(,%r[a-z0-9]+)?(,[0-9])?\),%(r|xmm)' "$TMP/gs.stride"
expect_not_in "and nothing of the array is read through %gs" "$TMP/gs.stride" '%gs:[^0(]*\(.*\),%(r|x)'

# The checks can fail: the plain variant has none of it.
expect "the probe compiles for the plain variant" probe plain -DC7_PLAIN
expect_not_in "which uses no %gs" "$TMP/plain.read" '%gs'
expect "and has no branch in a read either" no_branch "$TMP/plain.read"
finish
