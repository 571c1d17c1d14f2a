/*
 * test_sim_block.c - how many of its own instructions the simulator finds in a basic block
 * (machine/sim/block.c): hand-assembled snippets with known counts.
 *
 * A snippet begins behind a trace_pc call, as gcc's instrumentation has it.  None is ever executed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simulated_only.h"

#ifndef NO_SIMULATED_MACHINE

#include "sim/block.h"

/* SNIPPET(name, code) is code behind a trace_pc call; name is what that call returns to. */
#define SNIPPET(name, code)                                                                        \
    extern const char name[];                                                                      \
    __asm__(".text\n\tcall __sanitizer_cov_trace_pc\n" #name ":\n" code "\n\tud2\n\tret\n")

#define HOOK(name) "\n\tcall __tsan_" name "\n\t"

/* ---- what counts as it is ------------------------------------------------------------------ */

SNIPPET(plain, "add %rax, %rbx; imul %rcx, %rdx; ret"); /* 3: the return is the program's, too */
SNIPPET(stops_at_jump, "cmp %rax, %rbx; je plain; add %rax, %rbx; ret");           /* 2 */
SNIPPET(stops_at_trace, "inc %rbx; call __sanitizer_cov_trace_pc; inc %rbx; ret"); /* 1 */
SNIPPET(trace_jumped_to, "inc %rbx; jmp __sanitizer_cov_trace_pc");                /* 1 */
SNIPPET(ordinary_call, "mov %rbx, %rdi; call abort; inc %rbx; ret"); /* 4: goes on behind it */
SNIPPET(indirect_call, "mov %rbx, %rdi; call *%rax; ret");           /* 3 */
SNIPPET(padding, "endbr64; nop; nopw 0(%rax,%rax); inc %rbx; ret");  /* 2 */

/* ---- how long a round of a loop takes at least --------------------------------------------------
 */

/* 4: multiply and add, each on the result of the other; the counter beside it takes 1. */
SNIPPET(chained, "imul %r12, %rbx; add %r13, %rbx; sub $1, %r14; jne plain");
/* 1: the product is of what does not change. */
SNIPPET(not_chained, "mov %r12, %rbx; imul %r13, %rbx; add %rbx, %r15; sub $1, %r14; jne plain");
/* 3: through another register and back. */
SNIPPET(wandering, "mov %rbx, %rax; imul %r12, %rax; mov %rax, %rbx; dec %r14; jne plain");

/* ---- hooks and what only feeds them -------------------------------------------------------- */

/* 2: the load and the return.  The call, the lea and the move in front are the hook's. */
SNIPPET(one_read, "lea 8(%rbx), %rdi" HOOK("read8") "mov 8(%rbx), %rax; ret");
/* 3: what the address is computed from feeds the access, too. */
SNIPPET(shared_input, "add $16, %rbx; mov %rbx, %rdi" HOOK("read8") "mov (%rbx), %rax; ret");
/* 2: arithmetic of several steps that only the hook sees. */
SNIPPET(long_set_up,
        "mov %rbx, %rax; shl $4, %rax; add %rbp, %rax; mov %rax, %rdi" HOOK("write4") "inc %rbx; "
                                                                                      "ret");
/* 3: the load reads memory and stays, though only the hook wants what it brings. */
SNIPPET(load_stays, "mov (%rbx), %rdi" HOOK("read8") "inc %rbx; ret");
/* 2: address and length of a range. */
SNIPPET(range, "mov $48, %esi; mov %rbx, %rdi" HOOK("write_range") "inc %rbx; ret");
/* 4: rdi was the program's before it was the hook's. */
SNIPPET(argument_read_first, "lea (%rax,%rax,2), %rdi; mov %rdi, %r12; lea 8(%rbx), %rdi" HOOK(
                                 "read8") "mov 8(%rbx), %rax; ret");
/* 3: compare, conditional move, return: the flags are wanted, the hook does not take them away. */
SNIPPET(flags_wanted, "mov %rbx, %rdi" HOOK("read8") "cmp %r12, %r13; cmovl %r12, %r13; ret");
/* 1: the hook is jumped to. */
SNIPPET(hook_jumped_to, "inc %rbx; mov %rbx, %rdi; jmp __tsan_read8");

/* ---- addresses ----------------------------------------------------------------------------- */

/* 3: load, store, return; the address would be an addressing mode. */
SNIPPET(folded_address, "lea (%rbx,%r13,8), %r12; mov %r12, %rdi" HOOK(
                            "read8") "mov (%r12), %r14; mov %r12, %rdi" HOOK("write8") "mov %r14, "
                                                                                       "(%r12); "
                                                                                       "ret");
/* 4: the address itself is wanted (stored): it is computed natively, too. */
SNIPPET(kept_address, "lea (%rbx,%r13,8), %r12; mov %r12, %rdi" HOOK(
                          "read8") "mov (%r12), %r14; mov %r12, (%r15); ret");

/* ---- spills -------------------------------------------------------------------------------- */

/* 2: to the frame and back is what the hook forces. */
SNIPPET(spill, "mov %rax, -8(%rbp); mov %rbx, %rdi" HOOK("read8") "mov -8(%rbp), %rax; mov (%rbx), "
                                                                  "%rcx; ret");

/* ---- atomic operations --------------------------------------------------------------------- */

/* 2: the operation and the return. */
SNIPPET(atomic_load, "mov $2, %esi; lea 8(%rbx), %rdi" HOOK("atomic64_load") "ret");
/* 3: and what is stored is computed by the program. */
SNIPPET(atomic_store,
        "mov $3, %edx; lea 2(%rax), %rsi; lea 8(%rbx), %rdi" HOOK("atomic64_store") "ret");
/* 4: the value, the operation, the test of its result, the jump; not the orders, nor the address of
 * what is expected, nor its way there. */
SNIPPET(atomic_compare,
        "mov %rax, 8(%rsp); mov $5, %r8d; mov $5, %ecx; lea 1(%rax), %rdx; lea 8(%rsp), %rsi; "
        "mov %rbx, %rdi" HOOK("atomic64_compare_exchange_strong") "test %al, %al; je plain");
/* 2 */
SNIPPET(fence, "mov $5, %edi" HOOK("atomic_thread_fence") "ret");

/* ---- edges --------------------------------------------------------------------------------- */

SNIPPET(three_hundred, ".rept 300\n inc %rbx\n .endr\n ret");
/* More hooks than instructions that count: 200 stores and the return. */
SNIPPET(long_instrumented, ".rept 200\n mov %rbx, %rdi\n call __tsan_write8\n mov %rax, (%rbx)\n "
                           ".endr\n ret");
/* A return address behind something else than a trace_pc call: the function jumped to trace_pc. */
SNIPPET(unused, "call abort\nbehind_other_call: add %rax, %rbx; add %rax, %rbx; ret");
extern const char behind_other_call[];

static const struct {
    const char *name;
    const char *pc;
    unsigned count;
} expected[] = {
    {"plain", plain, 3},
    {"stops at a jump", stops_at_jump, 2},
    {"stops at trace_pc", stops_at_trace, 1},
    {"stops at a jump to trace_pc", trace_jumped_to, 1},
    {"an ordinary call", ordinary_call, 4},
    {"an indirect call", indirect_call, 3},
    {"padding", padding, 2},
    {"one read", one_read, 2},
    {"shared input", shared_input, 3},
    {"long set-up", long_set_up, 2},
    {"a load for a hook", load_stays, 3},
    {"a range", range, 2},
    {"an argument register read first", argument_read_first, 4},
    {"flags wanted", flags_wanted, 3},
    {"a hook jumped to", hook_jumped_to, 1},
    {"an address folded", folded_address, 3},
    {"an address kept", kept_address, 4},
    {"a spill", spill, 2},
    {"atomic load", atomic_load, 2},
    {"atomic store", atomic_store, 3},
    {"atomic compare and exchange", atomic_compare, 4},
    {"fence", fence, 2},
    {"more than the table holds", three_hundred, 254},
    {"200 instrumented stores", long_instrumented, 201},
    {"behind another call", behind_other_call, 1},
};

static int open_blocks(void **state) {
    (void)state;
    return sim_block_open() ? 0 : -1;
}

static void counts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const unsigned n = sim_block_instructions((uintptr_t)expected[i].pc);
        if (n != expected[i].count)
            fail_msg("%s: %u instructions counted, there are %u", expected[i].name, n,
                     expected[i].count);
    }
}

/* The second look-up is answered by the table. */
static void keeps_what_it_decoded(void **state) {
    (void)state;
    const uintptr_t pc = (uintptr_t)plain;
    assert_int_equal(sim_block_instructions(pc), 3);
    assert_int_equal(sim_block_table[pc - sim_block_text], 3 + 1);
    assert_int_equal(sim_block_instructions(pc), 3);
}

static void rounds(void **state) {
    (void)state;
    static const struct {
        const char *pc;
        unsigned cycles;
    } wanted[] = {{chained, 4}, {not_chained, 1}, {wandering, 3}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        (void)sim_block_instructions((uintptr_t)wanted[i].pc);
        assert_int_equal(sim_block_round((uintptr_t)wanted[i].pc), wanted[i].cycles);
    }
}

/* Code of a library, or nothing at all: no instructions, no crash. */
static void outside_of_the_text(void **state) {
    (void)state;
    assert_int_equal(sim_block_instructions(0), 0);
    assert_int_equal(sim_block_instructions(sim_block_text - 1), 0);
    assert_int_equal(sim_block_instructions(sim_block_text + sim_block_text_bytes), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(rounds),
        cmocka_unit_test(keeps_what_it_decoded),
        cmocka_unit_test(outside_of_the_text),
    };
    return cmocka_run_group_tests(tests, open_blocks, NULL);
}

#endif
