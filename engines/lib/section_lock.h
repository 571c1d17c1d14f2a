/*
 * section_lock.h - the lock that is taken around one block: spins, then sleeps (futex(2)).
 *
 * Guarantee: mutual exclusion; deadlock-free, not starvation-free (barging).  An unlock costs no
 * fence: it stores `locked`, then loads `sleepers`, and the processor may swap these two.  A thread
 * that goes to sleep makes up for it with a heavy barrier between its increment of `sleepers` and
 * its last look at `locked`.
 *
 * The inline halves are for engine.h; the slow ones for functions of the engine's own in engine.c,
 * so that they exist once.
 */
#ifndef ALLCORES_SECTION_LOCK_H
#define ALLCORES_SECTION_LOCK_H

#include "../common.h"

#include "../../machine/machine.h"

struct tm_section_lock {       /* its user aligns it: a line that is shared with little else */
    _Atomic uint32_t locked;   /* 1 while held; a futex.  Taken by compare-and-swap or exchange */
    _Atomic uint32_t sleepers; /* threads that sleep on `locked`, or are about to */
};

/* With growing pauses, some ten microseconds: longer than a block. */
enum { TM_SECTION_SPINS = 200 };

TM_INLINE bool tm_section_try(struct tm_section_lock *lock) {
    uint32_t unlocked = 0;
    /* Acquire: pairs with the release in tm_section_release. */
    return atomic_compare_exchange_strong_explicit(&lock->locked, &unlocked, 1,
                                                   memory_order_acquire, memory_order_relaxed);
}

/* Returns true when somebody sleeps and is to be woken with machine_wake(&lock->locked, n). */
TM_INLINE bool tm_section_release(struct tm_section_lock *lock) {
    atomic_store_explicit(&lock->locked, 0, memory_order_release);
    machine_light_barrier(); /* pairs with the heavy one in tm_section_sleep */
    return atomic_load_explicit(&lock->sleepers, memory_order_relaxed) != 0;
}

/* Growing pauses.  True as soon as the lock is seen free and, with `take`, was taken; false when
 * that did not happen for the whole time. */
static inline bool tm_section_spin(struct tm_section_lock *lock, bool take) {
    for (unsigned i = 0; i < machine_batch(TM_SECTION_SPINS); i++) {
        for (unsigned pause = 0; pause <= i / 16; pause++)
            machine_cpu_relax();
        if (atomic_load_explicit(&lock->locked, memory_order_relaxed) == 0 &&
            (!take || atomic_exchange_explicit(&lock->locked, 1, memory_order_acquire) == 0))
            return true;
    }
    return false;
}

/* Sleeps until the lock is free and, with `take`, was taken. */
static inline void tm_section_sleep(struct tm_section_lock *lock, bool take) {
    atomic_fetch_add(&lock->sleepers, 1);
    machine_heavy_barrier(); /* pairs with the light one in tm_section_release */
    while ((take ? atomic_exchange_explicit(&lock->locked, 1, memory_order_acquire)
                 : atomic_load_explicit(&lock->locked, memory_order_acquire)) != 0)
        machine_wait(&lock->locked, 1, UINT64_MAX);
    atomic_fetch_sub(&lock->sleepers, 1);
}

/* Takes the lock, whatever it costs. */
static inline void tm_section_contended(struct tm_section_lock *lock) {
    if (!tm_section_spin(lock, true))
        tm_section_sleep(lock, true);
}

#endif
