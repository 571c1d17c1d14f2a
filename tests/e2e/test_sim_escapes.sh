#!/bin/bash
# Nothing in a simulated cell escapes the model: what its objects call is a hook, the simulated machine, their own
# engine, or stands on a short list with a reason; and the machine code has no access that gcc makes without
# telling a hook (inline assembly, thread-local variables, string instructions).
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

if [ "$(uname -m)" != x86_64 ]; then
    skip "what simulated cells call" "the CPU is no x86-64"
    finish
fi
cells=$(dirname "$ALLCORES")/cells

# NAME REASON
allowed='
snprintf                words of setup and verify, which run outside of the simulation
fprintf                 last words of an engine that cannot go on
fputc                   the same, as gcc writes it
fwrite                  the same, as gcc writes it
stderr                  the same: where they go
strerror                the same: what a call of the machine failed of
__errno_location        the same: why; the words of start, too
abort                   the end of it
_GLOBAL_OFFSET_TABLE_   the linker
check_note              what the programs of check note, which is no event (record.h)
check_unique            the same
check_new_node          the same
__asan_handle_no_return weak: gcc asks for it before abort; nobody defines it
'
# An object may call these of its own group and machine (qualify appends both).
hooks='__tsan_(volatile_|unaligned_|unaligned_volatile_)?(read|write)(1|2|4|8|16)'
hooks="$hooks|__tsan_(read|write)_range|__tsan_init|__sanitizer_cov_trace_pc"
hooks="$hooks|__tsan_atomic(8|16|32|64)_(load|store|exchange|fetch_(add|sub|and|or|xor|nand)|compare_exchange_(strong|weak|val))"
hooks="$hooks|__tsan_atomic_(thread|signal)_fence"
copies='sim_(memcpy|memmove|memset|memcmp|strlen|strcmp)'

# FILE GROUP: a line for each undefined symbol that is not allowed
escaping_symbols() {
    nm -u -P "$1" | awk -v file="$1" -v group="$2" -v hooks="^($hooks)\$" -v copies="^$copies\$" -v allowed="$allowed" '
        BEGIN { n = split(allowed, line, "\n"); for (i = 1; i <= n; i++) { split(line[i], word, " "); ok[word[1]] = 1 } }
        $1 ~ hooks || $1 ~ copies || $1 in ok { next }
        $1 ~ /^machine_[a-z0-9_]+__sim$/ { next }
        $1 ~ ("^tm_[a-z0-9_]+__" group "__sim$") { next }
        { print file ": " $1 }'
}

# FILE: a line for each instruction that touches memory or time behind the hooks' back.  The stack frame is the
# fiber's own; nothing else may be reached through %fs (one host thread runs all simulated ones).
escaping_instructions() {
    objdump -d --no-show-raw-insn "$1" | awk -v file="$1" '
        /^[0-9a-f]+ <.*>:$/ { f = $2; gsub(/[<>:]/, "", f); next }
        /\t(syscall|sysenter|int|cpuid|rdtscp?|rdpmc|pause|[lms]fence|lock|rep[a-z]*|x(begin|end|abort|test)|clflush[a-z]*|prefetch[a-z0-9]*)([ \t]|$)/ ||
        /\txchg .*\(/ || /%fs:/ { sub(/^[^\t]*\t/, ""); print file ": " f ": " $0 }'
}

# Objects in FOLDER (GROUP__sim/...) that escape, a line each.
escapes() {
    local object group
    while IFS= read -r object; do
        group=${object#"$1"/}
        group=${group%%__sim/*}
        escaping_symbols "$object" "${group//-/_}"
        escaping_instructions "$object"
    done < <(find "$1" -path '*__sim/*' -name '*.o' | sort)
}

objects=$(find "$cells" -path '*__sim/*' -name '*.o' | wc -l)
if [ "$objects" -eq 0 ]; then
    fail "there are simulated cells" "no objects in $cells/*__sim"
    finish
fi
pass "there are simulated cells ($objects objects)"
found=$(escapes "$cells")
if [ -z "$found" ]; then
    pass "no simulated cell escapes the model"
else
    fail "no simulated cell escapes the model" "$found"
fi

# Every object is instrumented: one compiled without the flags would make no hook call at all.
found=$(find "$cells" -path '*__sim/*' -name '*.o' | sort | while IFS= read -r object; do
    if [ -n "$(nm -P "$object" | awk '$2 ~ /^[tT]$/')" ] && ! nm -u "$object" | grep -q '__sanitizer_cov_trace_pc$'; then
        echo "$object"
    fi
done)
expect_equal "every simulated object is instrumented" "$found" ""

# The check finds what it looks for: a file with one escape of each kind, built as cells are.
mkdir -p "$TMP/cells/seq__sim/workload"
cat >"$TMP/escape.c" <<'C'
#include <stdlib.h>
#include <unistd.h>
extern int tm_other__norec__sim(void);
static __thread int local;
long escape(char *p);
long escape(char *p) {
    local += (int)getpid();
    __asm__ volatile("lock incq %0" : "+m"(*(long *)p));
    __asm__ volatile("pause");
    return local + tm_other__norec__sim() + strtol(p, NULL, 10);
}
C
expect "the escapes compile" gcc -O2 -fsanitize=thread -fsanitize-coverage=trace-pc -c -o "$TMP/cells/seq__sim/workload/escape.o" "$TMP/escape.c"
escapes "$TMP/cells" >"$TMP/found"
for what in 'escape\.o: getpid' 'escape\.o: tm_other__norec__sim' 'escape\.o: .*strtol' 'escape: .*lock' 'escape: pause' 'escape: .*%fs:'; do
    expect_in "found: $what" "$TMP/found" "$what"
done

finish
