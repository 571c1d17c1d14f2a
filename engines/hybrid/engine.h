/*
 * hybrid - hardware transactions first, software transactions for what these cannot do, and both at
 * the same time.
 *
 * slow=norec: L. Dalessandro, F. Carouge, S. White, Y. Lev, M. Moir, M. L. Scott, M. F. Spear,
 * "Hybrid NOrec: a case study in the effectiveness of best effort hardware transactional memory",
 * ASPLOS 2011, with two clocks.  slow=rh: A. Matveev, N. Shavit, "Reduced hardware NOrec: a safe
 * and scalable hybrid transactional memory", ASPLOS 2015; of it the postfix, a software block's
 * commit by a short hardware transaction.  The software half is that of engine norec.
 *
 * How they see each other.
 *  - A software block validates by value whenever a clock has moved.  So a hardware block that has
 *    written moves one before it ends: as the last thing of its transaction, and only while
 *    `software` says that there is somebody to see it.  slow=norec: `second`, which only hardware
 *    writes and hardware does not read before; so hardware blocks meet on it at their ends only.
 *    slow=rh: the sequence lock itself, which hardware does not read before either.
 *  - A hardware block must not see half of a software block's write-back.  slow=norec: it reads the
 *    sequence lock first thing (subscribes), so a software commit aborts all of them.  slow=rh: the
 *    write-back is one hardware transaction; only when that does not succeed, `exclusive` is set,
 *    to which all hardware blocks subscribe.
 *
 * Guarantees
 *  - Opacity, of both kinds: norec's argument for software with the two clocks in place of one; in
 *    hardware the conflict with whoever writes, and the subscription for write-backs in steps.
 *  - Privatization and publication safe.  A privatising commit moves a clock, so software blocks
 *    that it dooms notice before they use a value; hardware blocks are aborted by the write itself.
 *    A software write-back is validated under the sequence lock, while no hardware block commits.
 *  - Livelock-free in software; a block tries hardware a limited number of times.  Not
 *    starvation-free; with contended=serial only the sequence lock is unfair.
 *  - One mechanism for irrevocable blocks: software that owns the sequence lock, with `exclusive`.
 *
 * What hardware cannot do runs in software.  What hardware could do if only others let it - a block
 * that keeps losing conflicts - would do no better there, being several times as slow and so more
 * likely to lose; with contended=serial (the default) such a block owns the sequence lock from its
 * start on and accesses memory straight, as it would under the lock of engine htm.  So does one
 * that a transaction had to give up because it became irrevocable, and one that software does not
 * get done: each hardware commit makes a software block validate all that it has read, and where
 * they come faster than that takes, it would do nothing else.  Nothing of a serial block can be
 * undone: tm_retry and tm_abort_restart come before the first write.
 *
 * Invariants, beside norec's
 *  H1 While the sequence lock is odd, no hardware block that has written commits: slow=norec, it
 * has subscribed; slow=rh, it looks before it ends (with `software` > 0, as the owner is counted).
 *  H2 `software` counts the threads whose block has begun in software and not ended.
 *  H3 `hardware` of a thread is false while its block runs in software; it is true at all other
 *     times, and accesses then go straight to memory: in a hardware transaction, in a serial block,
 *     or because nobody else is there.
 *  H4 Memory that a block of either kind frees waits for the software blocks that may still read it
 *     (lib/reclaim.h).  Hardware blocks need no such wait, so they announce nothing.
 */
#ifndef ALLCORES_HYBRID_ENGINE_H
#define ALLCORES_HYBRID_ENGINE_H

#include "../common.h"

#include "../../machine/machine.h"

/* Behind the sequence lock's line.  Each has a line of its own: the first is written by every
 * software block, the second by hardware that ends meanwhile, the third seldom. */
#define TM_NOREC_SHARED                                                                            \
    _Alignas(TM_APART) _Atomic uint64_t software;  /* see H2; changed by fetch-and-add */          \
    _Alignas(TM_APART) _Atomic uint64_t second;    /* moved by 2, in hardware transactions only */ \
    _Alignas(TM_APART) _Atomic uint64_t exclusive; /* slow=rh: 1 while the owner of the sequence   \
                                                 lock writes in steps; written by it */
#define TM_NOREC_OWN                                                                               \
    struct tm_hybrid_block now, fresh;  /* what a block begins with */                             \
    const _Atomic uint64_t *subscribed; /* odd: hardware must not run */                           \
    _Atomic uint64_t *moved;  /* the clock that hardware moves; odd: it must not commit */         \
    uint64_t second_snapshot; /* of `second` */                                                    \
    int64_t validated;        /* reads that this block has validated; negative: it sleeps */       \
    bool serial;              /* this block owns the sequence lock from its start on */            \
    bool hardware;            /* see H3 */                                                         \
    bool counted;             /* in `software` */
/* What a block needs in hardware, in a word. */
struct tm_hybrid_block {
    int32_t calls_left; /* calls of tm_should_break until it says yes */
    uint16_t aborts;
    bool wrote;       /* in the running transaction, or before a direct access */
    bool irrevocable; /* a serial block has asked for that */
};
#define TM_NOREC_UNDONE(self) ((self)->hardware)
#define TM_NOREC_TAKEN(self) tm_hybrid_exclude(1)
#define TM_NOREC_GIVEN(self) tm_hybrid_exclude(0)
void tm_hybrid_exclude(uint64_t exclusive);
#define TM_NOREC_SECOND() atomic_load_explicit(&tm_global.second, memory_order_acquire)
/* Relaxed: as tm_moved. */
#define TM_NOREC_SECOND_MOVED(self)                                                                \
    (atomic_load_explicit(&tm_global.second, memory_order_relaxed) != (self)->second_snapshot)
#define TM_NOREC_SECOND_IS(self, n) ((self)->second_snapshot = (n))
#define TM_NOREC_GIVES_UP(self, n) tm_hybrid_gives_up(self, n)
bool tm_hybrid_gives_up(struct tm_thread *self, uint64_t reads);
#include "../lib/norec.h"

#define TM_SEG     /* references are plain pointers */
#define TM_FN      /* functions need no other code inside of blocks */
#define TM_PURE_FN /* likewise */
#define TM_HEADER                                                                                  \
    struct {                                                                                       \
    } tm_header

/* Codes of aborts that the engine asks for. */
enum {
    HYBRID_BUSY = 0xff, /* software writes back */
    HYBRID_RETRY = 1,
    HYBRID_RESTART = 2,
    HYBRID_IRREVOCABLE = 3,
    HYBRID_MOVED = 4 /* slow=rh: a commit came before ours */
};

/* ---- barriers ------------------------------------------------------------------------------- */

/*
 * In a block that runs in software `self` is odd, which tells accesses and functions to which of
 * the two they belong without a load.  Blocks are compiled twice (copies.h), and with them the
 * functions that are inlined there, so that most accesses need not even ask.
 */
#define TM_THREAD(self)                                                                            \
    ((struct tm_thread *)((uintptr_t)(self) & ~(uintptr_t)1)) /* NOLINT(*-no-int-to-ptr) */
TM_INLINE bool tm_in_software(const struct tm_thread *self) { return (uintptr_t)self & 1; }
/* Where that is known. */
TM_INLINE struct tm_thread *tm_software_thread(struct tm_thread *self) {
    return (struct tm_thread *)((char *)self - 1);
}

/* `self` of the hardware copy of a block (0) or of the software copy (1). */
TM_INLINE struct tm_thread *tm_copied(struct tm_thread *self, unsigned copy) {
    const uintptr_t even = (uintptr_t)self & ~(uintptr_t)1;
    return (struct tm_thread *)(even | copy); /* NOLINT(performance-no-int-to-ptr) */
}

#define TM_READ(ref, lvalue)                                                                       \
    ({                                                                                             \
        TM_FIELD_CHECK_(lvalue);                                                                   \
        __typeof__(lvalue) tm_v_;                                                                  \
        if (tm_likely(!tm_in_software(self)))                                                      \
            tm_v_ = (lvalue);                                                                      \
        else                                                                                       \
            tm_v_ = TM_FROM_BITS(                                                                  \
                lvalue, tm_read_field(tm_software_thread(self), &(lvalue), sizeof(lvalue)));       \
        tm_v_;                                                                                     \
    })
#define TM_WRITE(ref, lvalue, v)                                                                   \
    ({                                                                                             \
        TM_FIELD_CHECK_(lvalue);                                                                   \
        const __typeof__(lvalue) tm_w_ = (v);                                                      \
        if (tm_likely(!tm_in_software(self))) {                                                    \
            (lvalue) = tm_w_;                                                                      \
            self->now.wrote = true;                                                                \
        } else {                                                                                   \
            tm_write_field(tm_software_thread(self), &(lvalue), sizeof(lvalue),                    \
                           TM_TO_BITS(lvalue, tm_w_));                                             \
        }                                                                                          \
    })
#define TM_READ_AT(ref, field, i) TM_READ(ref, (ref)->field[i])
#define TM_WRITE_AT(ref, field, i, v) TM_WRITE(ref, (ref)->field[i], v)

/* Privatised data: as norec's. */
#define TM_PLAIN(lvalue) TM_FROM_BITS(lvalue, tm_load(&(lvalue), sizeof(lvalue)))
#define TM_PLAIN_SET(lvalue, v) tm_store(&(lvalue), sizeof(lvalue), TM_TO_BITS(lvalue, v))

/* ---- blocks --------------------------------------------------------------------------------- */

/* Behind an abort: shall the block be tried in hardware again?  Called by the function that holds
 * the block. */
bool tm_hybrid_again(struct tm_thread *self, unsigned status);
/* The block, or a further execution of it, begins in software, or serially. */
void tm_hybrid_software(struct tm_thread *self);
void tm_hybrid_timed(struct tm_thread *self);
void tm_hybrid_wake(void);
void tm_hybrid_free(struct tm_thread *self);
void tm_commit(struct tm_thread *self);

/* True when a hardware transaction is running; inlined by force, because an abort comes back to the
 * frame that called machine_tx_begin. */
TM_INLINE bool tm_start_hardware(struct tm_thread *self) {
    self->now = self->fresh;
    if (tm_unlikely(self->common.timed))
        tm_hybrid_timed(self);
    for (;;) {
        const unsigned status = machine_tx_begin();
        if (tm_likely(status == MACHINE_TX_STARTED)) {
            /* Relaxed: in a transaction there is no order but that of its commit. */
            if (tm_likely((atomic_load_explicit(self->subscribed, memory_order_relaxed) & 1) == 0))
                return true;
            machine_tx_abort(HYBRID_BUSY);
        }
        if (!tm_hybrid_again(self, status))
            return false;
    }
}

/* `self` of the block that has just begun, or of the one that it is nested in. */
TM_INLINE struct tm_thread *tm_started(struct tm_thread *self) {
    return self->hardware ? self : (struct tm_thread *)((char *)self + 1);
}

TM_INLINE int tm_end(struct tm_thread *tagged) {
    struct tm_thread *self = TM_THREAD(tagged);
    if (--self->common.depth > 0)
        return 1;
    if (tm_unlikely(tm_in_software(tagged))) {
        tm_commit(self);
        return 1;
    }
    /* The depth is 1 before the transaction and 0 in its last moment: an abort undoes that, too. */
    if (tm_likely(atomic_load_explicit(&tm_global.software, memory_order_relaxed) == 0)) {
        /* Nobody sleeps in tm_retry, either: that is done in software. */
        machine_tx_end();
    } else if (tm_unlikely(self->serial)) { /* is counted in `software`, too */
        tm_commit(self);
        return 1;
    } else {
        if (self->now.wrote) {
            const uint64_t clock = atomic_load_explicit(self->moved, memory_order_relaxed);
            if (tm_unlikely(clock & 1))
                machine_tx_abort(HYBRID_BUSY);
            atomic_store_explicit(self->moved, clock + 2, memory_order_relaxed);
            if (self->moved == &tm_global.clock) /* nobody is subscribed to that line */
                atomic_store_explicit(&tm_global.owner, self->common.index, memory_order_relaxed);
        }
        machine_tx_end();
        /* A commit orders like a locked instruction: pairs with the heavy barrier in
         * wait_for_change. */
        if (tm_unlikely(atomic_load_explicit(&tm_global.waiters, memory_order_relaxed) > 0))
            tm_hybrid_wake();
    }
    self->common.stats.commits++;
    if (tm_unlikely(self->freed.count > 0))
        tm_hybrid_free(self);
    return 1;
}

#include "copies.h"

void *tm_alloc(struct tm_thread *self, size_t bytes);
void tm_release(struct tm_thread *self, void *object);
_Noreturn void tm_block_retry(struct tm_thread *self);
_Noreturn void tm_block_restart(struct tm_thread *self);
void tm_irrevocable(struct tm_thread *tagged);

TM_INLINE void tm_safepoint(TM_SELF) {}
/* The block has had its number of calls. */
TM_INLINE bool tm_should_break(struct tm_thread *self) {
    return --TM_THREAD(self)->now.calls_left <= 0;
}
TM_INLINE void tm_blocking_enter(TM_SELF) {}
TM_INLINE void tm_blocking_leave(TM_SELF) {}

#endif
