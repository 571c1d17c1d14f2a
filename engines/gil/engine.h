/*
 * gil - one lock for everything: what CPython, PyPy and Ruby do today.
 *
 * mode=switch follows CPython's lock since 3.2 (A. Pitrou, "newgil", 2009): a thread holds the lock
 * from one hand-over to the next, so a block costs no atomic operation; a waiting thread that was
 * not served within `interval_us` asks for the lock, and the holder hands it over at the end of its
 * current outermost block or at a safe point.  Unlike CPython's, the hand-over is first come, first
 * served.  It is released around blocking calls and in tm_retry. mode=section takes and releases
 * the lock around each outermost block: the coarse-grained lock of the STM literature.  It spins,
 * then sleeps. barrier=gc (a build of its own, since the test sits in the inlined write) adds the
 * write barrier of a generational collector: one test of a header flag; the first write to an old
 * object remembers it, and the end of the outermost block, which stands for a minor collection as
 * in the GIL build of PyPy's C7, makes the remembered and the new objects old again.
 *
 * Guarantee: blocks are serialised in the order in which they hold the lock.  Deadlock-free; in
 * mode=switch also starvation-free (tickets), in mode=section not (barging).  Race-free in C11's
 * terms.  Nothing can be rolled back: tm_retry and tm_abort_restart come before the first write.
 *
 * Invariants
 * - mode=switch: outside of tm_blocking, tm_retry and suspend, the running thread's ticket equals
 *   tm_gil.serving.
 * - mode=section: tm_gil.lock.locked is 1 exactly while some thread is inside an outermost block.
 */
#ifndef ALLCORES_GIL_ENGINE_H
#define ALLCORES_GIL_ENGINE_H

#include "../lib/checkpoint.h"
#include "../lib/section_lock.h"

enum {
    GIL_ASKED = 1,   /* a waiting thread wants the lock */
    GIL_RETRIERS = 2 /* threads sleep in tm_retry until a block has ended */
};

enum { GIL_TICKETS = 2048 }; /* more than threads, so that no two waiting tickets share a slot */

struct gil {
    /* Bits above.  Read by the holder at the end of each block; set by waiting threads, cleared by
     * whoever serves the request.  A line of its own: it is read all the time, written seldom. */
    _Alignas(TM_APART) _Atomic uint32_t attention;

    _Alignas(TM_APART) struct tm_section_lock lock; /* mode=section */

    /* mode=switch */
    _Alignas(TM_APART) _Atomic uint32_t next; /* the next ticket; taken by fetch-and-add */
    _Atomic uint32_t serving; /* the ticket that holds the lock; written by its holder */
    _Atomic uint32_t changes; /* ends of blocks that a tm_retry waits for; a futex */
    struct {
        _Alignas(64) _Atomic uint32_t woken; /* a futex: bumped when serving reaches this slot */
    } slot[GIL_TICKETS];                     /* by ticket modulo GIL_TICKETS */
};
extern struct gil tm_gil;

struct tm_gc_list { /* objects; grows; owned by its thread */
    void **object;
    size_t length, capacity;
};

struct tm_thread {
    struct tm_common common;
    bool section; /* mode=section: lock around each block */
    bool direct;  /* setup, verify: no other thread exists */
#ifdef GIL_BARRIER_GC
    struct tm_gc_list remembered; /* objects that are old again after this block */
    struct tm_gc_list dead;       /* freed objects: memory goes back behind the block */
#endif
    uint32_t ticket;                 /* mode=switch: ours while we hold the lock */
    struct tm_checkpoint checkpoint; /* used in files with TM_RESTARTS only */
};

#define TM_MAY_BARGE /* mode=section */

#define TM_SEG     /* references are plain pointers */
#define TM_FN      /* functions need no other code inside of blocks */
#define TM_PURE_FN /* likewise */

void tm_gil_contended(struct tm_thread *self);
void tm_gil_attention(struct tm_thread *self);
void tm_gil_wake_sleeper(void);

#ifdef GIL_BARRIER_GC

enum { GIL_OLD = 1 };
#define TM_HEADER                                                                                  \
    struct {                                                                                       \
        uint32_t flags;                                                                            \
    } tm_header

void tm_gc_remember(struct tm_thread *self, void *object, uint32_t *flags);
void tm_gc_collect(struct tm_thread *self);

#define TM_GC_BARRIER(ref)                                                                         \
    do {                                                                                           \
        if (tm_unlikely((ref)->tm_header.flags & GIL_OLD))                                         \
            tm_gc_remember(self, (ref), &(ref)->tm_header.flags);                                  \
    } while (0)
#define TM_WRITE(ref, lvalue, v)                                                                   \
    ({                                                                                             \
        TM_GC_BARRIER(ref);                                                                        \
        (void)((lvalue) = (v));                                                                    \
    })
#define TM_WRITE_AT(ref, field, i, v) TM_WRITE(ref, (ref)->field[i], v)

#else

#define TM_HEADER                                                                                  \
    struct {                                                                                       \
    } tm_header
#define TM_WRITE(ref, lvalue, v) ((void)((lvalue) = (v)))
#define TM_WRITE_AT(ref, field, i, v) ((void)((ref)->field[i] = (v)))

#endif

#define TM_READ(ref, lvalue) (lvalue)
#define TM_READ_AT(ref, field, i) ((ref)->field[i])
#define TM_PLAIN(lvalue) (lvalue)

/*
 * Counting comes before the lock, and what the end needs to know travels in the block's own
 * variable: a locked instruction waits for all stores before it, and loads behind it wait for it,
 * so a counter that is loaded, incremented and stored inside would add its latency to every
 * section.
 */
TM_INLINE struct tm_block tm_begin(struct tm_thread *self) {
    const struct tm_block block = {.outermost = self->common.depth == 0};
    if (block.outermost) {
        self->common.depth = 1;
        self->common.stats.commits++;
        if (self->section && tm_unlikely(!tm_section_try(&tm_gil.lock)))
            tm_gil_contended(self);
    }
    return block;
}

TM_INLINE int tm_end(struct tm_thread *self, const struct tm_block *block) {
    if (block->outermost) {
        self->common.depth = 0;
#ifdef GIL_BARRIER_GC
        if (tm_unlikely(self->remembered.length | self->dead.length))
            tm_gc_collect(self);
#endif
        /* Relaxed: a request that is seen one block late is served one block late; one of tm_retry
         * was made under the lock, so the next holder sees it. */
        if (tm_unlikely(atomic_load_explicit(&tm_gil.attention, memory_order_relaxed)))
            tm_gil_attention(self);
        if (self->section && tm_unlikely(tm_section_release(&tm_gil.lock)))
            tm_gil_wake_sleeper();
    }
    return 1;
}

#if defined(TM_RESTARTS)
#define TM_ATOMIC(self_)                                                                           \
    for (TM_BLOCK = ({                                                                             \
             struct tm_block tm_begun_ = tm_begin(self_);                                          \
             if (tm_begun_.outermost) {                                                            \
                 tm_checkpoint(&(self_)->checkpoint);                                              \
                 tm_begun_ = tm_behind_checkpoint();                                               \
             }                                                                                     \
             tm_begun_;                                                                            \
         });                                                                                       \
         !tm_block_.done; tm_block_.done = tm_end(self_, &tm_block_))
#else
#define TM_ATOMIC(self_)                                                                           \
    for (TM_BLOCK = tm_begin(self_); !tm_block_.done; tm_block_.done = tm_end(self_, &tm_block_))
#endif

void *tm_alloc(struct tm_thread *self, size_t bytes);
void tm_release(struct tm_thread *self, void *object);
_Noreturn void tm_block_retry(struct tm_thread *self);
_Noreturn void tm_block_restart(struct tm_thread *self);
void tm_blocking_enter(struct tm_thread *self);
void tm_blocking_leave(struct tm_thread *self);

TM_INLINE void tm_irrevocable(struct tm_thread *self) { self->common.stats.irrevocable++; }

TM_INLINE void tm_safepoint(struct tm_thread *self) {
    if (self->common.depth == 0 && !self->section &&
        tm_unlikely(atomic_load_explicit(&tm_gil.attention, memory_order_relaxed)))
        tm_gil_attention(self);
}

/* A waiting thread has asked for the lock: it gets it at the end of the block. */
TM_INLINE bool tm_should_break(struct tm_thread *self) {
    return !self->section &&
           (atomic_load_explicit(&tm_gil.attention, memory_order_relaxed) & GIL_ASKED) != 0;
}

#endif
