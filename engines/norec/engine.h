/*
 * norec - software transactional memory without ownership records.
 *
 * L. Dalessandro, M. F. Spear, M. L. Scott, "NOrec: streamlining STM by abolishing ownership
 * records", PPoPP 2010.  One global sequence lock (even: free, odd: somebody writes), a redo log,
 * and validation by value: a block that finds the lock's number moved reads everything it has read
 * once more and compares.
 *
 * Guarantees
 *  - Opacity.  Each read ends with a look at the number: the values a block has seen are those of
 *    one moment at which the lock was free, also in an execution that will be thrown away.
 *  - Livelock free: an execution is thrown away only because another block has committed.  Not
 *    starvation free: a long block can lose to short writers again and again, and a short one to a
 *    neighbour that finds the clock in its own cache each time (TM_MAY_STARVE).
 *  - Privatization and publication safe.  Commits are serialised with their write-backs: whoever
 *    commits (or reads at an even number) after a block does so after the last store of that
 *    block, so no delayed write-back hits privatised data.  A doomed reader may load a word that
 *    its new owner has already changed, but that load is followed by the look at the number, which
 *    the privatising commit has moved, and the value goes nowhere.  Plain accesses to privatised
 *    data are release stores and acquire loads (TM_PLAIN), so that this holds in C11 and without a
 *    data race; on x86-64 they are ordinary moves.
 *  - Data-race free in C11's terms: all data is accessed by C11 atomics of the field's own size.
 *
 * Invariants
 *  I1 The number only grows; it is odd exactly while one thread writes back or is irrevocable.
 *  I2 `snapshot` is even, and all entries of the read log held their values when the number was
 *     `snapshot`.
 *  I3 While read_next < read_limit, the block has no writes, no objects allocated or freed, and is
 *     neither direct nor irrevocable: a read needs no look at the write log, and an end is nothing
 *     but counting.  Everything else sets read_limit to NULL, and so shares the one compare that
 *     a full log needs anyhow.  write_limit is 0 in the same manner while stores go to memory.
 *  I4 Memory of a word in the write log is untouched until write-back; bytes of the word that the
 *     block did not write are never stored to (the neighbour may belong to somebody else).
 *
 * Fields are naturally aligned and have 1, 2, 4 or 8 bytes.  x86-64: user addresses leave the top
 * byte free, where the logs keep sizes and masks.
 */
#ifndef ALLCORES_NOREC_ENGINE_H
#define ALLCORES_NOREC_ENGINE_H

#include "../lib/norec.h"

#define TM_MAY_STARVE

#define TM_SEG     /* references are plain pointers */
#define TM_FN      /* functions need no other code inside of blocks */
#define TM_PURE_FN /* likewise */
#define TM_HEADER                                                                                  \
    struct {                                                                                       \
    } tm_header
#define TM_READ(ref, lvalue)                                                                       \
    ({                                                                                             \
        TM_FIELD_CHECK_(lvalue);                                                                   \
        TM_FROM_BITS(lvalue, tm_read_field(self, &(lvalue), sizeof(lvalue)));                      \
    })
#define TM_WRITE(ref, lvalue, v)                                                                   \
    ({                                                                                             \
        TM_FIELD_CHECK_(lvalue);                                                                   \
        tm_write_field(self, &(lvalue), sizeof(lvalue), TM_TO_BITS(lvalue, v));                    \
    })
#define TM_READ_AT(ref, field, i) TM_READ(ref, (ref)->field[i])
#define TM_WRITE_AT(ref, field, i, v) TM_WRITE(ref, (ref)->field[i], v)

/* Privatised data: see the guarantees. */
#define TM_PLAIN(lvalue) TM_FROM_BITS(lvalue, tm_load(&(lvalue), sizeof(lvalue)))
#define TM_PLAIN_SET(lvalue, v) tm_store(&(lvalue), sizeof(lvalue), TM_TO_BITS(lvalue, v))

/* ---- blocks --------------------------------------------------------------------------------- */

void tm_commit(struct tm_thread *self);

TM_INLINE int tm_end(struct tm_thread *self) {
    if (--self->common.depth > 0)
        return 1;
    if (tm_unlikely(self->read_limit == NULL)) {
        tm_commit(self);
        return 1;
    }
    /* Only reads: they were all true at `snapshot`, and that is when the block took place. */
    tm_reclaim_end(&self->reclaim);
    const uint64_t reads = (uint64_t)(self->read_next - self->read_log);
    self->common.stats.commits++;
    self->common.stats.reads += reads;
    if (tm_unlikely(reads > self->common.stats.read_set_max))
        self->common.stats.read_set_max = reads;
    return 1;
}

#define TM_ATOMIC(self_)                                                                           \
    TM_BLOCK_LOOPS_(((self_)->common.depth++ == 0                                                  \
                         ? (tm_checkpoint(&(self_)->checkpoint), tm_start(self_))                  \
                         : (void)0,                                                                \
                     tm_same(self_)))

void *tm_alloc(struct tm_thread *self, size_t bytes);
void tm_release(struct tm_thread *self, void *object);
_Noreturn void tm_block_retry(struct tm_thread *self);
_Noreturn void tm_block_restart(struct tm_thread *self);
void tm_irrevocable(struct tm_thread *self);

/* A thread holds nothing outside of its blocks, and inside of them nobody waits for it. */
TM_INLINE void tm_safepoint(TM_SELF) {}
TM_INLINE bool tm_should_break(TM_SELF) { return false; }
TM_INLINE void tm_blocking_enter(TM_SELF) {}
TM_INLINE void tm_blocking_leave(TM_SELF) {}

#endif
