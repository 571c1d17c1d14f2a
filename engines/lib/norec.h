/*
 * norec.h - the algorithm of engine norec, inline half: its logs, its barriers, the start of an
 * execution.  engines/norec/engine.h has the paper, the guarantees and the invariants I1 to I4.
 *
 * norec_slow.h is the rest, for one engine.c.  An engine in which somebody commits beside the
 * sequence lock (hardware transactions) counts those commits in a second clock; before it includes
 * this file it defines
 *   TM_NOREC_SHARED             members of struct tm_global, that clock among them
 *   TM_NOREC_OWN                members of struct tm_thread
 *   TM_NOREC_UNDONE(self)       is what this block does undone without this file's help?
 *   TM_NOREC_TAKEN(self)        the sequence lock is this thread's, nothing is written yet
 *   TM_NOREC_GIVEN(self)        all is written, the lock is about to be released
 *   TM_NOREC_SECOND()           the second clock, read with acquire
 *   TM_NOREC_SECOND_MOVED(self) does it differ from this thread's snapshot of it?
 *   TM_NOREC_SECOND_IS(self, n) the snapshot becomes n
 *   TM_NOREC_GIVES_UP(self, n)  n reads are about to be validated: shall the execution be given up
 *                               instead?
 * The second clock does not move while somebody owns the sequence lock.
 */
#ifndef ALLCORES_NOREC_H
#define ALLCORES_NOREC_H

#include "checkpoint.h"
#include "reclaim.h"

#ifndef TM_NOREC_SECOND
#define TM_NOREC_SHARED
#define TM_NOREC_OWN
#define TM_NOREC_UNDONE(self) false
#define TM_NOREC_TAKEN(self) ((void)0)
#define TM_NOREC_GIVEN(self) ((void)0)
#define TM_NOREC_SECOND() UINT64_C(0)
#define TM_NOREC_SECOND_MOVED(self) false
#define TM_NOREC_SECOND_IS(self, n) ((void)(n))
#define TM_NOREC_GIVES_UP(self, n) false
#endif

/* What all threads share; one line, because a committer touches all of it. */
struct tm_global {
    _Alignas(
        TM_CACHE_LINE) _Atomic uint64_t clock; /* the sequence lock.  Read by all; an even
                                value is changed by compare-and-swap, an odd one by its owner */
    _Atomic uint32_t waiters; /* threads asleep in tm_retry; changed by them, read by committers */
    _Atomic uint32_t wakeups; /* what they sleep on; incremented by committers that saw waiters */
    _Atomic uint32_t owner;   /* index of the last thread that took the lock; written by it */
    TM_NOREC_SHARED
};
extern struct tm_global tm_global __attribute__((visibility("hidden")));

/* Field addresses carry their size in the top byte: 0 for 8 bytes, otherwise the number of bytes.
 */
struct tm_read_entry {
    uint64_t field; /* address | size tag */
    uint64_t bits;  /* what was read, zero-extended */
};

/* Word addresses carry a mask in the top byte: bit i is set when byte i was written. */
struct tm_write_entry {
    uint64_t word; /* address (a multiple of 8) | mask */
    uint64_t bits; /* bytes outside of the mask are 0 */
};

enum { TM_TAG_SHIFT = 56 };
#define TM_ADDRESS_MASK ((UINT64_C(1) << TM_TAG_SHIFT) - 1)

/* All of it belongs to its thread, but for the reclamation slot it points to. */
struct tm_thread {
    struct tm_common common;
    TM_NOREC_OWN

    _Alignas(TM_CACHE_LINE) struct tm_read_entry *read_next; /* where the next read is logged */
    struct tm_read_entry *read_limit;                        /* end of the log, or NULL: see I3 */
    uint64_t snapshot;                                       /* see I2 */
    /* Version of the write set (upper half, never 0) and number of its entries (lower half).  A
     * slot of the index belongs to this block when its upper half is this version, and its lower
     * half is then the entry's number: a reset is an increment. */
    uint64_t write_stamp;
    uint64_t write_limit; /* entries that fit, or 0: see I3 */
    uint64_t *index;      /* hash table, linear probing, at most half full */
    uint64_t index_mask;
    struct tm_write_entry *write_log;
    struct tm_read_entry *read_log; /* where read_next starts */
    struct tm_reclaim_thread reclaim;
    struct tm_checkpoint checkpoint;

    bool direct;             /* accesses go to memory: setup and verify, or an irrevocable block */
    bool irrevocable;        /* this block owns the sequence lock until it ends */
    unsigned losses;         /* executions in a row that were thrown away: decides the back-off */
    uint64_t losses_commits; /* stats.commits when the last of them was */
    uint64_t start_ns;       /* of this execution; only while common.timed */
    uint64_t rng;            /* for the back-off */
    struct tm_read_entry *read_end; /* what read_limit is while I3 allows */
    uint64_t write_capacity;        /* what write_limit is while I3 allows */
    /* Objects this block allocated (to be freed if it aborts) and freed (if it commits). */
    struct tm_pointers {
        void **object;
        size_t count, capacity;
    } allocated, freed;
    _Atomic uint32_t nap; /* always 0: a word to sleep on for a time that nobody cuts short */
};

/* Has anybody committed since the snapshot?  Relaxed: whoever has loaded a value has that behind
 * it, by the acquire of that load. */
TM_INLINE bool tm_moved(const struct tm_thread *self) {
    return atomic_load_explicit(&tm_global.clock, memory_order_relaxed) != self->snapshot ||
           TM_NOREC_SECOND_MOVED(self);
}
/* ---- memory --------------------------------------------------------------------------------- */

typedef uint8_t __attribute__((may_alias)) tm_u8;
typedef uint16_t __attribute__((may_alias)) tm_u16;
typedef uint32_t __attribute__((may_alias)) tm_u32;
typedef uint64_t __attribute__((may_alias)) tm_u64;

/* Acquire: pairs with the release in tm_store.  Reading a value that a writer has stored makes the
 * odd number visible that it stored before, so the look at the number behind this cannot miss it.
 */
TM_INLINE uint64_t tm_load(const void *address, size_t bytes) {
    switch (bytes) {
    case 1:
        return __atomic_load_n((const tm_u8 *)address, __ATOMIC_ACQUIRE);
    case 2:
        return __atomic_load_n((const tm_u16 *)address, __ATOMIC_ACQUIRE);
    case 4:
        return __atomic_load_n((const tm_u32 *)address, __ATOMIC_ACQUIRE);
    default:
        return __atomic_load_n((const tm_u64 *)address, __ATOMIC_ACQUIRE);
    }
}

TM_INLINE void tm_store(void *address, size_t bytes, uint64_t bits) {
    switch (bytes) {
    case 1:
        __atomic_store_n((tm_u8 *)address, (uint8_t)bits, __ATOMIC_RELEASE);
        break;
    case 2:
        __atomic_store_n((tm_u16 *)address, (uint16_t)bits, __ATOMIC_RELEASE);
        break;
    case 4:
        __atomic_store_n((tm_u32 *)address, (uint32_t)bits, __ATOMIC_RELEASE);
        break;
    default:
        __atomic_store_n((tm_u64 *)address, bits, __ATOMIC_RELEASE);
        break;
    }
}

/* ---- barriers ------------------------------------------------------------------------------- */

/* Everything that the inline halves below leave: a full log, a moved number, words in the write
 * log, direct accesses.  `field` as in struct tm_read_entry. */
uint64_t tm_read_slow(struct tm_thread *self, uint64_t field);
/* `word` as in struct tm_write_entry; `bits` is 0 outside of the mask. */
void tm_write_slow(struct tm_thread *self, uint64_t word, uint64_t bits);

TM_INLINE uint64_t tm_read_field(struct tm_thread *self, const void *address, size_t bytes) {
    const uint64_t field =
        (uint64_t)(uintptr_t)address | (bytes == 8 ? 0 : (uint64_t)bytes << TM_TAG_SHIFT);
    struct tm_read_entry *entry = self->read_next;
    if (tm_unlikely(entry >= self->read_limit))
        return tm_read_slow(self, field);
    const uint64_t bits = tm_load(address, bytes);
    if (tm_unlikely(tm_moved(self)))
        return tm_read_slow(self, field);
    entry->field = field;
    entry->bits = bits;
    self->read_next = entry + 1;
    return bits;
}

/* Where the search for a word begins.  Multiplicative hashing (Knuth, TAOCP 3, 6.4). */
TM_INLINE uint64_t tm_hash(uint64_t address) {
    return (address * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
}

TM_INLINE void tm_write_field(struct tm_thread *self, void *address, size_t bytes, uint64_t bits) {
    uint64_t word = (uint64_t)(uintptr_t)address;
    uint64_t mask = UINT64_C(0xff);
    if (bytes < 8) {
        const unsigned offset = word & 7;
        word -= offset;
        mask = ((UINT64_C(1) << bytes) - 1) << offset;
        bits <<= 8 * offset;
    }
    const uint64_t stamp = self->write_stamp;
    uint64_t *slot = &self->index[tm_hash(word) & self->index_mask];
    word |= mask << TM_TAG_SHIFT;
    if (tm_unlikely(((*slot ^ stamp) >> 32) == 0 || (uint32_t)stamp >= self->write_limit)) {
        tm_write_slow(self, word, bits);
        return;
    }
    struct tm_write_entry *entry = &self->write_log[(uint32_t)stamp];
    entry->word = word;
    entry->bits = bits;
    *slot = stamp;
    self->write_stamp = stamp + 1;
    self->read_limit = NULL;
}
#define TM_FIELD_CHECK_(lvalue)                                                                    \
    _Static_assert(sizeof(lvalue) == 1 || sizeof(lvalue) == 2 || sizeof(lvalue) == 4 ||            \
                       sizeof(lvalue) == 8,                                                        \
                   "transactional fields have 1, 2, 4 or 8 bytes")

/* ---- executions ----------------------------------------------------------------------------- */

/* Somebody holds the sequence lock, or the execution is timed. */
TM_COLD void tm_start_slow(struct tm_thread *self);

/* An execution begins: the first and each further one. */
TM_INLINE void tm_start(struct tm_thread *self) {
    tm_reclaim_begin(&self->reclaim);
    self->read_next = self->read_log;
    /* Acquire: pairs with the release that ends a commit. */
    self->snapshot = atomic_load_explicit(&tm_global.clock, memory_order_acquire);
    if (tm_unlikely((self->snapshot | self->common.timed) & 1))
        tm_start_slow(self);
}
/* The same thread, but the compiler does not know that: a variable that lives across the checkpoint
 * is kept in memory for the whole of its function, and each barrier would load it again. */
TM_INLINE struct tm_thread *tm_same(struct tm_thread *self) {
    __asm__("" : "+r"(self));
    if (self == NULL)
        __builtin_unreachable();
    return self;
}

/* ---- blocks --------------------------------------------------------------------------------- */

#if defined(TM_GUARD) && !defined(TM_NO_GUARD)
#define TM_LEFT_BY_BREAK_(block) tm_block_check(&(block))
#else
#define TM_LEFT_BY_BREAK_(block) ((void)0)
#endif

/* One pass through three loops: the first begins the block (`begun`: does it, and is what `self` is
 * inside), the second has its state, the third gives it a `self` of its own and ends it.  A break
 * leaves the third one only, and is seen by the second. */
#define TM_BLOCK_LOOPS_(begun)                                                                     \
    for (struct tm_thread *tm_self_ = (begun); tm_self_ != NULL; tm_self_ = NULL)                  \
        for (TM_BLOCK = {0, 0}; !tm_block_.done; TM_LEFT_BY_BREAK_(tm_block_))                     \
            for (struct tm_thread *self = tm_self_; !tm_block_.done; tm_block_.done = tm_end(self))

#endif
