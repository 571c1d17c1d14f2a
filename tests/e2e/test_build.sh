#!/bin/bash
# The build: qualified symbols, blocks that may not be left, what is rebuilt after a change, help, install.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

# ---- a profile and a stack trace tell cells apart ---------------------------------------------

nm "$ALLCORES" >"$TMP/symbols"
for cell in seq__native gil__native; do
    expect_in "the counter's loop is called counter_loop__$cell" "$TMP/symbols" " counter_loop__$cell\$"
done
expect_in "the machine's symbols carry its name" "$TMP/symbols" ' machine_wait__native$'
expect_not_in "no machine symbol is left unqualified" "$TMP/symbols" ' [Tt] machine_(wait|wake|alloc)$'

# ---- help and install -------------------------------------------------------------------------

run make help
for target in all bench plots test lint install clean setup help; do
    expect_in "make help names $target" "$OUT" "^make $target +[^ ]"
done
sed -n 's/^make \([a-z-]*\) .*/\1/p' "$OUT" >"$TMP/targets"
while read -r target; do
    expect "make $target is a target" make -n "$target"
done <"$TMP/targets"

expect "make install works" make install PREFIX=/usr DESTDIR="$TMP/root dir"
expect "the installed program runs" "$TMP/root dir/usr/bin/allcores" list engines
expect "the licence is installed" cmp LICENSE "$TMP/root dir/usr/share/doc/allcores/LICENSE"

# ---- leaving a block --------------------------------------------------------------------------

tree=$TMP/tree
copy_tree "$tree"

block_workload() { # FILE STATEMENT: a workload whose block holds the statement
    cat >"$tree/workloads/$1.c" <<END
#include "tm.h"
struct cell { TM_HEADER; uint64_t value; };
struct world { TM_REF(struct cell) cell; };
static void *$1_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    (void)setup, (void)why, (void)why_size;
    struct world *w = machine_alloc(sizeof *w);
    if (w != NULL)
        w->cell = tm_new(self, struct cell);
    return w;
}
static inline void $1_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    for (int i = 0; i < 2; i++) {
        const uint64_t n = tm_random(rng);
        atomic (self) {
            tm_set(w->cell, value, tm_get(w->cell, value) + 1);
            if (n & 1) { $2 }
            tm_set(w->cell, value, tm_get(w->cell, value) + 1);
        }
    }
    goto out;
out:
    return;
}
static bool $1_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    (void)world, (void)ops, (void)why, (void)why_size;
    return true;
}
static void $1_teardown(TM_SELF, void *world) { machine_free(world); }
TM_WORKLOAD($1, .help = "leaves a block", .setup = $1_setup, .verify = $1_verify, .teardown = $1_teardown);
END
}
block_workload stays ';'
block_workload returns 'return;'
block_workload jumps 'goto out;'
# A break leaves the innermost loop, which an atomic block may be built of.
block_workload breaks 'break;'

for engine in seq gil norec; do
    [ -d "engines/$engine" ] || continue
    expect "$engine: a block that ends is compiled" \
        make -C "$tree" "build/cells/${engine}__native/workload/stays.o"
    for leaving in returns jumps breaks; do
        run make -C "$tree" "build/cells/${engine}__native/workload/$leaving.o"
        expect_in "$engine: a block that $leaving is refused with the reason" "$ERR" \
            'return, break or goto leaves an atomic block'
        expect_equal "$engine: a block that $leaving gives no object" \
            "$status $(ls "$tree/build/cells/${engine}__native/workload/$leaving.o" 2>/dev/null)" '2 '
    done
done
rm "$tree"/workloads/{stays,returns,jumps,breaks}.c

# ---- what it was built from -------------------------------------------------------------------

mkdir "$TMP/foreign"
(cd "$TMP/foreign" && git init -q && git -c user.name=n -c user.email=e commit -q --allow-empty -m x)
mkdir -p "$TMP/foreign/archive"
cp scripts/buildinfo "$TMP/foreign/archive"
run env -C "$TMP/foreign/archive" ./buildinfo gcc flags ''
expect_in "an archive in another project's repository has no revision" "$OUT" 'git_revision = "unknown"'

# ---- what is rebuilt --------------------------------------------------------------------------

# Sources that make compiles now, one a line, sorted, with the number of times.
compiled() { make -C "$tree" 2>&1 | sed -n 's/^g[c+][c+] .* -c .* \([^ ]*\.cc\{0,1\}\)$/\1/p' | sort | uniq -c | awk '{print $2 ":" $1}' | tr '\n' ' '; }

expect "the copied tree builds" make -C "$tree" -j2
expect_equal "nothing is compiled when nothing changed" "$(compiled)" ''
sed 's/null_/other_/g; s/TM_WORKLOAD(null/TM_WORKLOAD(other/' "$tree/workloads/null.c" >"$tree/workloads/other.c"
expect "with one more workload it builds" make -C "$tree" -j2
run "$tree/build/allcores" list workloads
expect_in "which is in the program" "$OUT" '^ *other$'
rm "$tree/workloads/other.c"
expect "without it it builds" make -C "$tree"
run "$tree/build/allcores" list workloads
expect_not_in "and it is not in the program any more" "$OUT" '^ *other$'
groups=$(find "$tree/build/cells" -path '*/workload/null.o' | wc -l)
touch "$tree/workloads/null.c"
expect_equal "a touched workload is compiled once per engine, and nothing else is" \
    "$(compiled)" "workloads/null.c:$groups "
touch "$tree/harness/cell.c"
expect_equal "a touched harness file is compiled alone" "$(compiled)" 'harness/cell.c:1 '
touch "$tree/engines/gil/engine.h"
run make -C "$tree" -n
expect_in "a touched engine header recompiles that engine's workloads" "$OUT" 'DTM_ENGINE=gil .* workloads/null\.c$'
compiled >"$TMP/compiled"
expect_not_in "and not the harness" "$TMP/compiled" 'harness/[a-z_]+\.c'
expect_equal "and no other engine's cells" \
    "$(tr ' ' '\n' <"$TMP/compiled" | sed -n 's,^workloads/null.c:,,p')" \
    "$(find "$tree/build/cells" -path '*/gil*/workload/null.o' | wc -l)"

finish
