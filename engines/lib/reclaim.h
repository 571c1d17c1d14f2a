/*
 * reclaim.h - when may memory that a block freed be used again?  Epoch-based reclamation, after
 * K. Fraser, "Practical lock-freedom", University of Cambridge, 2004, section 5.2.3, with an
 * asymmetric barrier.
 *
 * Guarantee: an object given to tm_reclaim_retire after the block that unlinked it has committed is
 * freed only when every block that was running at that moment has ended.  A block that still holds
 * a stale reference can therefore read the object's memory and find out later that it is doomed.
 * The common path costs one store at the beginning of a block and one at its end.
 *
 * How it works.
 *  - Each thread publishes in its slot the epoch in which its running block began, 0 when none
 *    runs.
 *  - Freed objects are collected in batches.  A full batch is sealed: the epoch is incremented and
 *    its new value E is written on the batch, then comes one heavy barrier.
 *  - A sealed batch is freed when each slot is 0 or at least E.
 * Why that is enough.  A block that published an epoch of at least E has read the increment, so it
 * sees everything before it, the unlinking included.  A block that published less is waited for.
 * Remains a block that read an older epoch and whose store into its slot was not seen: then that
 * store came after the heavy barrier, so its reads did as well, and they see the unlinking.  Its
 * side of this handshake (Dekker's: store the slot, then read data) needs only a compiler barrier.
 *
 * Without data races in C11's terms: the release store that ends a block is read by the acquire
 * load of whoever frees, so everything the block read happens before the free.  The heavy barrier
 * is only needed for blocks that cannot reach the object any more, and these have no access that
 * could race.
 *
 * Memory: at most a batch per thread waits for its seal.  Sealed batches wait as long as the
 * longest block that was running; a thread that stays inside of a block for ever keeps all that is
 * retired meanwhile.  A thread that sleeps should therefore have ended its block.
 *
 * An engine defines one `struct tm_reclaim tm_reclaim` in its engine.c.
 */
#ifndef ALLCORES_RECLAIM_H
#define ALLCORES_RECLAIM_H

#include "fatal.h"

#include "../common.h"

#include "../../machine/machine.h"

/* One heavy barrier costs microseconds, so a retired object pays some tens of nanoseconds. */
enum { TM_RECLAIM_BATCH = 254 };

/* Published by one thread, read by all that free.  A line of its own. */
struct tm_reclaim_slot {
    _Alignas(64) _Atomic uint64_t epoch; /* written by its thread: the block's epoch, 0 = no block
                                            runs */
};

struct tm_reclaim_batch {
    struct tm_reclaim_batch *next;
    uint64_t epoch; /* once sealed: nobody who published at least this can see the objects */
    uint32_t count;
    void *object[TM_RECLAIM_BATCH];
};

/* What all threads share. */
struct tm_reclaim {
    _Alignas(64) _Atomic uint64_t epoch; /* read by all; incremented by whoever seals a batch */
    struct tm_reclaim_slot *slots;       /* [slot_count], constant between start and stop */
    unsigned slot_count;
    unsigned batch; /* objects that fill a batch; constant between start and stop */
    /* Batches of threads that have left: pushed by compare-and-swap, taken by stop only. */
    _Atomic(struct tm_reclaim_batch *) orphans;
};
extern struct tm_reclaim tm_reclaim __attribute__((visibility("hidden")));

/* One thread's part; owned by it. */
struct tm_reclaim_thread {
    struct tm_reclaim_slot *slot;
    struct tm_reclaim_batch *filling;             /* not yet sealed; NULL before the first object */
    struct tm_reclaim_batch *sealed, *sealed_end; /* oldest first */
    struct tm_reclaim_batch *spare;               /* an empty batch, or NULL */
};

/* Before any thread attaches.  False when memory is out. */
static inline bool tm_reclaim_start(unsigned threads) {
    tm_reclaim.slots = machine_alloc_aligned(threads * sizeof *tm_reclaim.slots, 64);
    tm_reclaim.slot_count = threads;
    tm_reclaim.batch = machine_batch(TM_RECLAIM_BATCH);
    atomic_store_explicit(&tm_reclaim.epoch, 1, memory_order_relaxed);
    atomic_store_explicit(&tm_reclaim.orphans, NULL, memory_order_relaxed);
    return tm_reclaim.slots != NULL;
}

static inline void tm_reclaim_free_batch(struct tm_reclaim_batch *batch) {
    for (uint32_t i = 0; i < batch->count; i++)
        machine_free(batch->object[i]);
    batch->count = 0;
}

/* No thread is attached: everything that still waits is freed. */
static inline void tm_reclaim_stop(void) {
    /* Acquire: pairs with the release in tm_reclaim_detach. */
    struct tm_reclaim_batch *batch =
        atomic_exchange_explicit(&tm_reclaim.orphans, NULL, memory_order_acquire);
    while (batch != NULL) {
        struct tm_reclaim_batch *next = batch->next;
        tm_reclaim_free_batch(batch);
        machine_free(batch);
        batch = next;
    }
    machine_free(tm_reclaim.slots);
    tm_reclaim.slots = NULL;
}

/* The calling thread takes slot `index` (below the `threads` of start; its own alone). */
static inline void tm_reclaim_attach(struct tm_reclaim_thread *t, unsigned index) {
    *t = (struct tm_reclaim_thread){.slot = &tm_reclaim.slots[index]};
}

/* Outside of a block.  What still waits is handed over to tm_reclaim_stop. */
static inline void tm_reclaim_detach(struct tm_reclaim_thread *t) {
    if (t->filling != NULL) {
        t->filling->next = t->sealed;
        t->sealed = t->filling;
    }
    while (t->sealed != NULL) {
        struct tm_reclaim_batch *batch = t->sealed;
        t->sealed = batch->next;
        batch->next = atomic_load_explicit(&tm_reclaim.orphans, memory_order_relaxed);
        /* Release: pairs with the acquire in tm_reclaim_stop. */
        while (!atomic_compare_exchange_weak_explicit(&tm_reclaim.orphans, &batch->next, batch,
                                                      memory_order_release, memory_order_relaxed))
            ;
    }
    machine_free(t->spare);
    *t = (struct tm_reclaim_thread){0};
}

/* Before the first access of a block.  Inlined by force, like the next one: gcc would rather call
 * them, at a nanosecond or two for each block. */
TM_INLINE void tm_reclaim_begin(struct tm_reclaim_thread *t) {
    /* Acquire: pairs with the increment in tm_reclaim_seal. */
    const uint64_t epoch = atomic_load_explicit(&tm_reclaim.epoch, memory_order_acquire);
    /* Release: whoever reads this value instead of the 0 before it has the same right to free what
     * the blocks before it read. */
    atomic_store_explicit(&t->slot->epoch, epoch, memory_order_release);
    machine_light_barrier(); /* pairs with the heavy barrier in tm_reclaim_seal */
}

/* Behind the last access of a block. */
TM_INLINE void tm_reclaim_end(struct tm_reclaim_thread *t) {
    /* Release: pairs with the acquire in tm_reclaim_oldest. */
    atomic_store_explicit(&t->slot->epoch, 0, memory_order_release);
}

/* The smallest epoch that a running block has published; UINT64_MAX when none runs. */
static inline uint64_t tm_reclaim_oldest(void) {
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < tm_reclaim.slot_count; i++) {
        const uint64_t epoch =
            atomic_load_explicit(&tm_reclaim.slots[i].epoch, memory_order_acquire);
        if (epoch != 0 && epoch < oldest)
            oldest = epoch;
    }
    return oldest;
}

/* The full batch starts to wait, and those that have waited long enough are freed. */
static __attribute__((noinline, unused)) void tm_reclaim_seal(struct tm_reclaim_thread *t) {
    struct tm_reclaim_batch *full = t->filling;
    full->next = NULL;
    full->epoch = atomic_fetch_add_explicit(&tm_reclaim.epoch, 1, memory_order_acq_rel) + 1;
    if (t->sealed == NULL)
        t->sealed = full;
    else
        t->sealed_end->next = full;
    t->sealed_end = full;
    t->filling = NULL;

    machine_heavy_barrier(); /* pairs with the light one in tm_reclaim_begin */
    const uint64_t oldest = tm_reclaim_oldest();
    while (t->sealed != NULL && t->sealed->epoch <= oldest) {
        struct tm_reclaim_batch *batch = t->sealed;
        t->sealed = batch->next;
        tm_reclaim_free_batch(batch);
        if (t->spare == NULL)
            t->spare = batch;
        else
            machine_free(batch);
    }
}

/* `object` (of machine_alloc) is freed when no block can see it any more.  Call it outside of a
 * block, that is behind tm_reclaim_end, after the unlinking took effect. */
static inline void tm_reclaim_retire(struct tm_reclaim_thread *t, void *object) {
    if (t->filling == NULL) {
        t->filling = t->spare != NULL ? t->spare : machine_alloc(sizeof *t->filling);
        t->spare = NULL;
        if (t->filling == NULL)
            tm_fatal("out of memory: a batch of freed objects needs %zu bytes", sizeof *t->filling);
        t->filling->count = 0;
    }
    t->filling->object[t->filling->count++] = object;
    if (t->filling->count == tm_reclaim.batch)
        tm_reclaim_seal(t);
}

#endif
