/*
 * tm.h - the transactional memory API that workloads are written in.
 *
 * One file, one engine: TM_ENGINE (set by the build) names the folder whose engine.h defines the
 * barriers, so they are inlined and nothing is called through a pointer.  engines/README.md teaches
 * the API with a complete workload, and lists what an engine has to define.
 *
 *   atomic (self) { ... }          the block appears to run at once or not at all; blocks nest flat
 *   TM_REF(struct s)               reference to a transactional object (first member TM_HEADER)
 *   tm_get(ref, field)             read   of 1, 2, 4 or 8 bytes: integers, doubles, references
 *   tm_set(ref, field, v)          write
 *   tm_get_at(ref, field, i)       the same for element i of an array field
 *   tm_set_at(ref, field, i, v)
 *   tm_new(self, type)             zeroed object; undone if the block aborts; never returns NULL
 *   tm_new_array(self, type, field, n)
 *                                  object whose last member is `field[]`, with n elements
 *   tm_free(self, ref)             takes effect at commit, memory reused when nobody can see it
 *   tm_retry(self)                 give up this execution, sleep until something it read changes
 *   tm_abort_restart(self)         give up this execution and start again (tests)
 *   tm_irrevocable(self)           from here the block cannot abort: for I/O.  One at a time
 *   tm_safepoint(self)             long code without barriers: others may need this thread's
 *                                  attention
 *   tm_should_break(self)          is it time to end this block?  For programs that decide
 *                                  themselves how much work a block does, such as an interpreter
 *   tm_blocking(self) { ... }      outside of blocks, around a call that may block
 *   tm_plain_get/tm_plain_set(_at) data that this thread has privatised, outside of blocks
 *
 * A file whose blocks (or functions called from them) use tm_retry or tm_abort_restart says
 * `#define TM_RESTARTS` before it includes this file: engines that never restart on their own then
 * add a checkpoint, which the other files should not pay for.  An execution must not have written,
 * allocated or freed anything when it calls tm_retry or tm_abort_restart, because a lock cannot
 * undo; on engines whose descriptor says `rollback` it may.
 *
 * Rule for locals.  A local declared inside the block is free.  One declared outside may be read
 * inside as long as the block does not change it; a block that changes it must assign it before
 * reading it, on every path: then its value behind the block is the one that the committed
 * execution assigned.  (`n++` on an outer local would count aborted executions too.)
 *
 * Every function that may run inside a block is declared TM_FN and takes TM_SELF first.
 * TM_PURE_FN marks one that only touches private data and never a barrier; an engine may run it
 * uninstrumented, and it may be called irrevocably for I/O.
 */
#ifndef ALLCORES_TM_H
#define ALLCORES_TM_H

#include "common.h"
#include "plugin.h"

#include "../machine/machine.h"

#include <stdio.h> /* messages of setup and verify; nothing of it inside of blocks */

#define TM_STRING_(x) #x
#define TM_STRING(x) TM_STRING_(x)
/* clang-format off */
#define TM_ENGINE_HEADER_(e) TM_STRING_(e/engine.h)
/* clang-format on */
#define TM_ENGINE_HEADER(e) TM_ENGINE_HEADER_(e)

#define TM_SELF struct tm_thread *self __attribute__((unused))
#define TM_NOINLINE __attribute__((noinline))

/* ---- leaving a block by return, break or goto: an error at compile time -------------------- */

struct tm_block {
    int done;
    int outermost; /* not nested in another block; for engines that need to know at the end */
};
#if defined(TM_GUARD) && !defined(TM_NO_GUARD)
void tm_block_left(void)
    __attribute__((error("return, break or goto leaves an atomic block: let it end instead")));
TM_INLINE void tm_block_check(const struct tm_block *block) {
    if (!block->done)
        tm_block_left();
}
#define TM_BLOCK struct tm_block tm_block_ __attribute__((cleanup(tm_block_check)))
#else
#define TM_BLOCK struct tm_block tm_block_
#endif

/* ---- values of 1 to 8 bytes as the low bytes of a word (x86-64 is little-endian) ------------ */

#define TM_TO_BITS(type_of, v)                                                                     \
    ({                                                                                             \
        union {                                                                                    \
            uint64_t bits;                                                                         \
            __typeof__(type_of) value;                                                             \
        } tm_u_ = {0};                                                                             \
        _Static_assert(sizeof(tm_u_.value) <= 8, "transactional fields have 1 to 8 bytes");        \
        tm_u_.value = (v);                                                                         \
        tm_u_.bits;                                                                                \
    })
#define TM_FROM_BITS(type_of, b)                                                                   \
    ({                                                                                             \
        union {                                                                                    \
            uint64_t bits;                                                                         \
            __typeof__(type_of) value;                                                             \
        } tm_u_;                                                                                   \
        _Static_assert(sizeof(tm_u_.value) <= 8, "transactional fields have 1 to 8 bytes");        \
        tm_u_.bits = (b);                                                                          \
        tm_u_.value;                                                                               \
    })

#include TM_ENGINE_HEADER(TM_ENGINE)

/* ---- the API over the engine's definitions ------------------------------------------------- */

#define atomic(self_) TM_ATOMIC(self_)
#define TM_REF(type) type TM_SEG *

#define tm_get(ref, field)                                                                         \
    ({                                                                                             \
        __auto_type tm_r_ = (ref);                                                                 \
        TM_READ(tm_r_, tm_r_->field);                                                              \
    })
#define tm_set(ref, field, v)                                                                      \
    ({                                                                                             \
        __auto_type tm_r_ = (ref);                                                                 \
        TM_WRITE(tm_r_, tm_r_->field, v);                                                          \
    })
#define tm_get_at(ref, field, i)                                                                   \
    ({                                                                                             \
        __auto_type tm_r_ = (ref);                                                                 \
        const size_t tm_i_ = (size_t)(i);                                                          \
        TM_READ_AT(tm_r_, field, tm_i_);                                                           \
    })
#define tm_set_at(ref, field, i, v)                                                                \
    ({                                                                                             \
        __auto_type tm_r_ = (ref);                                                                 \
        const size_t tm_i_ = (size_t)(i);                                                          \
        TM_WRITE_AT(tm_r_, field, tm_i_, v);                                                       \
    })

#if !defined(TM_PLAIN_SET) /* engines whose plain data is no lvalue define it */
#define TM_PLAIN_SET(lvalue, v) ((void)(TM_PLAIN(lvalue) = (v)))
#endif
#if !defined(TM_PLAIN_READ) /* engines that need the object define these two */
#define TM_PLAIN_READ(ref, lvalue) TM_PLAIN(lvalue)
#define TM_PLAIN_WRITE(ref, lvalue, v) TM_PLAIN_SET(lvalue, v)
#endif
#define tm_plain_get(ref, field) TM_PLAIN_READ((ref), (ref)->field)
#define tm_plain_set(ref, field, v) TM_PLAIN_WRITE((ref), (ref)->field, v)
#define tm_plain_get_at(ref, field, i) TM_PLAIN_READ((ref), (ref)->field[i])
#define tm_plain_set_at(ref, field, i, v) TM_PLAIN_WRITE((ref), (ref)->field[i], v)

#define tm_new(self_, type) ((TM_REF(type))tm_alloc((self_), sizeof(type)))
#define tm_new_array(self_, type, field, n)                                                        \
    ((TM_REF(type))tm_alloc((self_), __builtin_offsetof(type, field) +                             \
                                         (size_t)(n) * sizeof(((type *)0)->field[0])))
#define tm_free(self_, ref) tm_release((self_), (ref))

#if defined(TM_RESTARTS)
#define tm_retry(self_) tm_block_retry(self_)
#define tm_abort_restart(self_) tm_block_restart(self_)
#endif

/* Outside of blocks, around a call that may block: `tm_blocking (self) { read(...); }`.  No barrier
 * may run inside, and neither return nor break may leave it. */
#define tm_blocking(self_)                                                                         \
    for (int tm_inside_ = (tm_blocking_enter(self_), 1); tm_inside_;                               \
         tm_blocking_leave(self_), tm_inside_ = 0)

#if !defined(TM_THREAD) /* engines whose `self` is more than a pointer to its thread define it */
#define TM_THREAD(self) (self)
#endif

/* Number of the calling thread among those of the measurement, 0 .. threads-1. */
TM_INLINE unsigned tm_index(const struct tm_thread *self) {
    return ((const struct tm_common *)TM_THREAD(self))->index;
}

/* ---- random numbers ------------------------------------------------------------------------ */

/* xorshift64* (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators,
 * scrambled", 2016).  Draw outside of blocks: an aborted execution would otherwise consume numbers.
 */
TM_INLINE uint64_t tm_random(struct tm_rand *rng) {
    uint64_t x = rng->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    rng->state = x;
    return x * UINT64_C(2685821657736338717);
}

/* Uniform over 0 .. n-1 for 0 < n <= 2^32, by multiplication instead of division (Lemire 2019);
 * bias below 2^-32 * n. */
TM_INLINE uint64_t tm_random_below(struct tm_rand *rng, uint64_t n) {
    return ((tm_random(rng) >> 32) * n) >> 32;
}

/* ---- registration -------------------------------------------------------------------------- */

extern const struct tm_engine tm_engine_descriptor; /* defined once per engine, in engine.c */

/* Keeps the compiler from fusing or hoisting across operations; the same for every engine. */
#define TM_OPERATION_BARRIER() __asm__ volatile("" ::: "memory")

/*
 * TM_WORKLOAD(name, .help = ..., .params = ..., .setup = ..., .verify = ..., .teardown = ...)
 * registers a workload.  It needs `static void name_run(TM_SELF, struct world *, struct tm_rand *)`
 * in the file, where the world's type is what `setup` returns: one call is one operation.
 */
#define TM_WORKLOAD(name_, ...)                                                                    \
    static void name_##_loop(TM_SELF, void *world, struct tm_rand *rng, uint64_t n) {              \
        for (uint64_t i = 0; i < n; i++) {                                                         \
            name_##_run(self, world, rng);                                                         \
            TM_OPERATION_BARRIER();                                                                \
        }                                                                                          \
    }                                                                                              \
    static const struct tm_workload name_##_workload = {                                           \
        .name = #name_, .loop = name_##_loop, __VA_ARGS__};                                        \
    static const struct tm_cell name_##_cell = {&name_##_workload, &tm_engine_descriptor,          \
                                                TM_STRING(TM_MACHINE)};                            \
    TM_REGISTER(tm_cells, struct tm_cell, name_##_cell)

#endif
