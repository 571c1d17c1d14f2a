/*
 * htm - the global lock, elided: each block is a hardware transaction (Intel's RTM, or a simulated
 * machine's) that finds the lock free and leaves it alone; a block that cannot be one takes the
 * lock.
 *
 * R. Rajwar, J. R. Goodman, "Speculative lock elision", MICRO 2001; Intel SDM vol. 1, "Programming
 * with Intel TSX".  The lock is that of gil, mode=section.  Who tries again how often, and who
 * waits for what, is the retry policy (engine.c has them with their sources).
 *
 * Guarantees
 *  - Blocks are serialised by their commits and by the lock, and opaque: the hardware aborts a
 *    block at the moment at which another thread touches what it has read or written.
 *  - Privatization and publication safe.  Transactions are strongly isolated, plain accesses
 *    included; and none is running beside a holder of the lock.  So memory that a block freed may
 * be used again when that block has committed: whoever had a reference to it has been aborted.
 *  - Progress: that of the lock, deadlock-free.  A block takes the lock after a number of aborts.
 *  - Nothing is undone under the lock: tm_retry and tm_abort_restart come before the first write.
 *
 * Invariants
 *  I1 A transaction reads `lock` before anything of the block.  Whoever takes the lock thereby
 *     aborts all of them, and none commits while it is held.
 *  I2 Between the outermost begin and its end, either `locked` of the thread says false and a
 *     transaction is running, or it says true and the thread holds the lock.
 *  I3 Fields of a thread that begin changes are changed before the transaction, those that end
 *     changes behind it: neither is in its write set, nor undone.
 *  I4 A thread that sleeps in tm_retry has announced itself in `attention` before the reads on
 * which it bases that; so a block that commits behind those reads finds the announcement.
 */
#ifndef ALLCORES_HTM_ENGINE_H
#define ALLCORES_HTM_ENGINE_H

#include "../lib/checkpoint.h"
#include "../lib/section_lock.h"

struct htm {
    /* Read by every transaction; a write to this line aborts them all.  glibc's adapt_count lies
     * here because it lies beside the lock in a pthread_mutex_t, too. */
    _Alignas(TM_APART) struct tm_section_lock lock;
    _Atomic int32_t adapt_count; /* policy=glibc: blocks that do not try.  A hint, lost updates
                                    included; written by any thread */
    _Atomic bool skip_busy;      /* because the lock was taken; likewise */
    uint32_t cascade; /* blocks of the running cascade behind its first; the lock's holder's */

    /* Behind each commit everybody looks at this line; it is written seldom. */
    _Alignas(TM_APART) _Atomic uint32_t attention; /* 1: threads sleep in tm_retry until a block has
                                                 ended.  Set by them, cleared by who wakes them */
    _Atomic uint32_t changes;                      /* what they sleep on; counts the wake-ups */
};
extern struct htm tm_htm;

/* Codes of aborts that the engine asks for. */
enum {
    HTM_LOCK_BUSY = 0xff, /* as glibc's: the lock is taken */
    HTM_RETRY = 1,        /* tm_retry */
    HTM_RESTART = 2,      /* tm_abort_restart */
    HTM_IRREVOCABLE = 3   /* tm_irrevocable */
};

/* Of one block, from its first execution on. */
struct htm_attempt {
    uint16_t aborts; /* executions that were thrown away, but for those below */
    uint16_t busy;   /* because the lock was taken */
    bool adjusted;   /* policy=odaira: this block has had its say on the length */
};

struct htm_site; /* policy=odaira: what is known of one block of the program */

/* All of it belongs to its thread. */
struct tm_thread {
    struct tm_common common;
    bool locked;  /* this block runs under the lock */
    bool prepare; /* the policy wants to be asked before a transaction begins */
    bool direct;  /* setup, verify: no other thread exists */
    struct htm_attempt attempt;
    int32_t calls_left; /* calls of tm_should_break until it says yes */
    int32_t length;     /* what calls_left begins with; an abort undoes what it has counted */
    uint64_t start_ns;  /* of this execution; only while common.timed */
    uint64_t lock_ns;   /* when it took the lock; likewise, otherwise 0 */
    /* tm_retry: `changes` as it was before the announcement, while that stands. */
    uint32_t seen;
    bool announced;
    /* Objects that the block has freed: pushed in the transaction, so an abort forgets them. */
    struct {
        void **object;
        size_t count, capacity;
    } freed;
    struct htm_site *sites;          /* policy=odaira: [HTM_SITES] */
    struct htm_site *site;           /* of this block */
    struct tm_checkpoint checkpoint; /* under the lock, in files with TM_RESTARTS */
};

#define TM_SEG     /* references are plain pointers */
#define TM_FN      /* functions need no other code inside of blocks */
#define TM_PURE_FN /* likewise */
#define TM_HEADER                                                                                  \
    struct {                                                                                       \
    } tm_header

#define TM_READ(ref, lvalue) (lvalue)
#define TM_WRITE(ref, lvalue, v) ((void)((lvalue) = (v)))
#define TM_READ_AT(ref, field, i) ((ref)->field[i])
#define TM_WRITE_AT(ref, field, i, v) ((void)((ref)->field[i] = (v)))
#define TM_PLAIN(lvalue) (lvalue)

/* Before the first execution, where the policy, the clock or the lock want it.  Both are called by
 * the function that holds the block: their return address is its site.  False: this thread has the
 * lock. */
bool tm_htm_prepare(struct tm_thread *self);
/* Behind an abort: shall the block be tried again? */
bool tm_htm_again(struct tm_thread *self, unsigned status);
void tm_htm_end_locked(struct tm_thread *self);
void tm_htm_attention(void);
void tm_htm_free(struct tm_thread *self);

/* Inlined by force: an abort comes back to the frame that called machine_tx_begin. */
TM_INLINE struct tm_block tm_begin(struct tm_thread *self) {
    const struct tm_block block = {.outermost = self->common.depth == 0};
    if (!block.outermost)
        return block;
    self->common.depth = 1;
    self->attempt = (struct htm_attempt){0};
    self->calls_left = self->length;
    /* Relaxed: a hint, the transaction looks again. */
    if (tm_unlikely(self->prepare | self->common.timed |
                    atomic_load_explicit(&tm_htm.lock.locked, memory_order_relaxed)) &&
        !tm_htm_prepare(self))
        return block;
    for (;;) {
        const unsigned status = machine_tx_begin();
        if (tm_likely(status == MACHINE_TX_STARTED)) {
            /* Relaxed: in a transaction there is no order but that of its commit. */
            if (tm_likely(atomic_load_explicit(&tm_htm.lock.locked, memory_order_relaxed) == 0))
                break;
            machine_tx_abort(HTM_LOCK_BUSY);
        }
        if (!tm_htm_again(self, status))
            break;
    }
    return block;
}

TM_INLINE int tm_end(struct tm_thread *self, const struct tm_block *block) {
    if (block->outermost) {
        if (tm_unlikely(self->locked))
            tm_htm_end_locked(self);
        else
            machine_tx_end();
        self->common.depth = 0;
        self->common.stats.commits++;
        /* Relaxed: a commit orders like a locked instruction, and under the lock see I4. */
        if (tm_unlikely(atomic_load_explicit(&tm_htm.attention, memory_order_relaxed)))
            tm_htm_attention();
        if (tm_unlikely(self->freed.count))
            tm_htm_free(self);
    }
    return 1;
}

#if defined(TM_RESTARTS)
#define TM_ATOMIC(self_)                                                                           \
    for (TM_BLOCK = ({                                                                             \
             struct tm_block tm_begun_ = tm_begin(self_);                                          \
             if (tm_begun_.outermost && (self_)->locked) {                                         \
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
void tm_irrevocable(struct tm_thread *self);

TM_INLINE void tm_safepoint(TM_SELF) {}
/* The block has had its number of calls: `length`, or what policy=odaira has found. */
TM_INLINE bool tm_should_break(struct tm_thread *self) { return --self->calls_left <= 0; }
TM_INLINE void tm_blocking_enter(TM_SELF) {}
TM_INLINE void tm_blocking_leave(TM_SELF) {}

#endif
