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
 *  - The runtime cannot run a cancelled block again; the trampoline begins it anew.  So tm_retry,
 *    which cannot know what changed, cancels, waits a growing time and runs the block again.
 *  - gcc does not inline a TM_PURE_FN into a block: where a workload reads constants through one,
 *    this engine pays a call (about a nanosecond; the instrumented read beside it takes ten to
 *    twenty).
 *  - gcc deletes transactions that do nothing, so `null` costs what our bookkeeping costs.
 *  - Memory comes from malloc and not from the machine, because the compiler has to know the
 *    allocator by name to undo it.  This engine runs on the native machine only, where both are
 *    the same.
 */
#ifndef ALLCORES_LIBITM_ENGINE_H
#define ALLCORES_LIBITM_ENGINE_H

#include <stdlib.h>

/* What the trampoline in engine.c reads and writes; it knows the layout. */
struct libitm_block {
    const void *begun;   /* where the outermost block's begin returns to; NULL outside of blocks */
    uint64_t executions; /* of this block since it began or was last cancelled, when counted */
    uint32_t properties; /* what gcc told the runtime about the block */
    uint32_t cancelled;  /* this block has been cancelled before */
    uint32_t counted;    /* more than one thread: a block may be restarted by the runtime */
};

/* Fields behind `common` are written outside of transactions or by functions that are not
 * instrumented: a roll-back leaves them alone. */
struct tm_thread {
    struct tm_common common;
    struct libitm_block block;
    bool waiting;         /* the block was cancelled by tm_retry, not by tm_abort_restart */
    bool irrevocable;     /* this block is */
    unsigned waits;       /* how often this block has waited in tm_retry */
    _Atomic uint32_t nap; /* always 0: a word to sleep on */
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

/* Calls of the runtime's function go through the trampolines in engine.c. */
#if defined(TM_RESTARTS)
__asm__(".set _ITM_beginTransaction, tm_begin_may_cancel");
#elif !defined(LIBITM_ENGINE_C)
__asm__(".set _ITM_beginTransaction, tm_begin_counted");
#endif

TM_PURE_FN void tm_end_slow(struct tm_thread *self);

/* A nested block costs an instrumented read, and writes nothing. */
TM_INLINE struct tm_block tm_begin(struct tm_thread *self) {
    const struct tm_block block = {.outermost = self->common.depth == 0};
    if (block.outermost)
        self->common.depth = 1;
    return block;
}

TM_INLINE int tm_end(struct tm_thread *self, int outermost) {
    if (!outermost)
        return 1;
    if (tm_unlikely(self->block.begun != NULL || self->irrevocable))
        tm_end_slow(self);
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

TM_FN static inline void tm_safepoint(TM_SELF) {}
TM_FN static inline bool tm_should_break(TM_SELF) { return false; }
static inline void tm_blocking_enter(TM_SELF) {}
static inline void tm_blocking_leave(TM_SELF) {}

#endif
