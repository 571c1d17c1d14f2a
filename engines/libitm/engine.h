/*
 * libitm - gcc's own transactional memory: -fgnu-tm and its runtime, a peer that nobody here wrote.
 *
 * Sources: "Intel Transactional Memory Compiler and Runtime Application Binary Interface" 1.1
 * (2009), and the documentation of GNU libitm.  The compiler turns each access inside of
 * __transaction_atomic into a call through the runtime's table.  method=ml_wt: ownership records
 * and write-through with an undo log (as TinySTM); method=gl_wt: one versioned lock, write-through.
 * Never the runtime's own choice, which may be hardware transactions or serial mode.
 *
 * Guarantee: as that runtime promises: opaque and privatization safe (committing writers wait for
 * older transactions).  Progress: after 100 restarts a transaction runs serially.
 *
 * What does not fit
 *  - return, break or goto out of a block compiles without a word, commits, and skips our
 *    bookkeeping.
 *  - The runtime says nothing about restarts.  With more than one thread a trampoline around
 *    _ITM_beginTransaction (engine.c) counts how often control returned from there; executions that
 *    did not end are `unknown` aborts.
 *  - tm_retry cannot know what changed: it cancels, waits a growing time and runs the block again.
 *  - gcc deletes transactions that do nothing, so `null` costs what our bookkeeping costs.
 *  - Memory comes from malloc and not from the machine, because the compiler has to know the
 *    allocator by name to undo it.  This engine runs on the native machine only, where both are
 *    the same.
 */
#ifndef ALLCORES_LIBITM_ENGINE_H
#define ALLCORES_LIBITM_ENGINE_H

#include <stdlib.h>

enum libitm_cancel { LIBITM_RUNNING, LIBITM_RETRY, LIBITM_RESTART };

/* What the trampoline in engine.c reads and writes; it knows the layout. */
struct libitm_block {
    const void *begun;   /* return address of the outermost block's begin; NULL outside of blocks */
    uint64_t executions; /* of this block so far; 0 when they are not counted */
};

/* Fields behind `common` are written outside of transactions or by functions that are not
 * instrumented: a roll-back leaves them alone. */
struct tm_thread {
    struct tm_common common;
    struct libitm_block block;
    enum libitm_cancel cancelled; /* why this execution was given up */
    bool irrevocable;             /* this block is */
    unsigned waits;               /* how often this block has waited in tm_retry */
    uint64_t start_ns;            /* of this block; only while common.timed */
    _Atomic uint32_t nap;         /* always 0: a word to sleep on */
};

#define TM_SEG /* references are plain pointers */
#define TM_FN __attribute__((transaction_safe))
#define TM_PURE_FN __attribute__((transaction_pure))
#define TM_HEADER                                                                                  \
    struct {                                                                                       \
    } tm_header

/* Inside of a block gcc instruments them, outside they are what they look like. */
#define TM_READ(ref, lvalue) (lvalue)
#define TM_WRITE(ref, lvalue, v) ((void)((lvalue) = (v)))
#define TM_READ_AT(ref, field, i) ((ref)->field[i])
#define TM_WRITE_AT(ref, field, i, v) ((void)((ref)->field[i] = (v)))
#define TM_PLAIN(lvalue) (lvalue)

/* ---- blocks --------------------------------------------------------------------------------- */

/* Calls of the runtime's function go through engine.c's, which also clears the flag "has no abort"
 * that gcc sets for blocks without a __transaction_cancel of their own. */
#if !defined(LIBITM_ENGINE_C)
__asm__(".set _ITM_beginTransaction, tm_begin_counted");
#endif

TM_PURE_FN int tm_end_slow(struct tm_thread *self);

/* A nested block costs an instrumented read, and writes nothing. */
TM_INLINE struct tm_block tm_begin(struct tm_thread *self) {
    const struct tm_block block = {.outermost = self->common.depth == 0};
    if (block.outermost)
        self->common.depth = 1;
    return block;
}

/* False: the execution was cancelled, and control came here from the middle of it. */
TM_INLINE int tm_end(struct tm_thread *self, int outermost) {
    if (!outermost)
        return 1;
    if (tm_unlikely(self->block.executions > 1 || self->cancelled != LIBITM_RUNNING ||
                    self->irrevocable))
        return tm_end_slow(self);
    self->block = (struct libitm_block){0};
    self->common.depth = 0;
    self->common.stats.commits++;
    return 1;
}

/* No TM_BLOCK: its check is a call that a transaction may not contain. */
#define TM_ATOMIC(self_)                                                                           \
    for (struct tm_block tm_block_ = tm_begin(self_); !tm_block_.done;                             \
         tm_block_.done = tm_end(self_, tm_block_.outermost))                                      \
    __transaction_atomic

TM_PURE_FN _Noreturn void tm_out_of_memory(size_t bytes);
TM_PURE_FN _Noreturn void tm_block_retry(struct tm_thread *self);
TM_PURE_FN _Noreturn void tm_block_restart(struct tm_thread *self);
TM_PURE_FN void tm_irrevocable(struct tm_thread *self);

/* Inline, so that gcc sees malloc and free inside of the block: the runtime undoes the one and
 * delays the other. */
TM_FN TM_INLINE void *tm_alloc(TM_SELF, size_t bytes) {
    void *object = calloc(1, bytes);
    if (object == NULL)
        tm_out_of_memory(bytes);
    return object;
}
TM_FN TM_INLINE void tm_release(TM_SELF, void *object) { free(object); }

TM_FN TM_INLINE void tm_safepoint(TM_SELF) {}
TM_INLINE void tm_blocking_enter(TM_SELF) {}
TM_INLINE void tm_blocking_leave(TM_SELF) {}

#endif
