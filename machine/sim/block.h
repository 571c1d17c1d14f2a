/*
 * block.h - what a basic block of instrumented code costs: the number of the program's own
 * instructions in it, from the machine code, decoded once.
 *
 * gcc's -fsanitize-coverage=trace-pc calls __sanitizer_cov_trace_pc at the start of each basic
 * block; the return address names the block.  Not counted: calls of hooks (__tsan_*, __sanitizer_*)
 * and the instructions that only set up their arguments.  A call of anything else is counted and
 * does not end the block; the block ends at the next trace_pc call, jump, or return.
 *
 * Thread-safety: none (one host thread simulates).
 */
#ifndef ALLCORES_SIM_BLOCK_H
#define ALLCORES_SIM_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many cycles a round takes at least when the block is a loop of its own, because of values
 * that each round needs from the one before; by byte of the text, as below. */
extern uint8_t *sim_block_rounds;
/* One entry per byte of the program's text: instructions of the block that starts there plus 1, or
 * 0 when it has not been decoded.  Read inline by the hook. */
extern uint8_t *sim_block_table;
extern uintptr_t sim_block_text; /* start of the text */
extern size_t sim_block_text_bytes;

/* Maps the table (lazily zero).  False when memory is out. */
bool sim_block_open(void);

/* Decodes the block at `pc` (a return address behind a trace_pc call), fills the table, returns the
 * number of instructions. */
unsigned sim_block_decode(uintptr_t pc);

/* Of a block that has been decoded, cycles. */
static inline unsigned sim_block_round(uintptr_t pc) {
    const uintptr_t at = pc - sim_block_text;
    return at < sim_block_text_bytes ? sim_block_rounds[at] : 0;
}

static inline unsigned sim_block_instructions(uintptr_t pc) {
    const uintptr_t at = pc - sim_block_text;
    if (__builtin_expect(at < sim_block_text_bytes, 1)) {
        const unsigned n = sim_block_table[at];
        if (__builtin_expect(n != 0, 1))
            return n - 1;
    }
    return sim_block_decode(pc);
}

#endif
