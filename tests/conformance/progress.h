/*
 * progress.h - how far each thread has come by the time the first of them has finished.
 */
#ifndef ALLCORES_PROGRESS_H
#define ALLCORES_PROGRESS_H

#include "probe.h"

/* Written by its thread only, read by the first that leaves. */
struct progress {
    _Atomic uint64_t ops;
    char padding[120];
};

struct progress_of_all {
    struct progress *thread; /* [threads] */
    _Atomic bool first_left;
    uint64_t min, max; /* written by the first that leaves */
};

/* False: out of memory, said in `why`. */
static inline bool progress_begin(struct progress_of_all *all, unsigned threads, char *why,
                                  size_t why_size) {
    all->thread = machine_alloc_aligned(threads * sizeof *all->thread, 2 * (size_t)TM_CACHE_LINE);
    if (all->thread == NULL)
        snprintf(why, why_size, "out of memory");
    return all->thread != NULL;
}

static inline void progress_made(const struct progress_of_all *all, unsigned thread) {
    _Atomic uint64_t *ops = &all->thread[thread].ops;
    atomic_store_explicit(ops, atomic_load_explicit(ops, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static inline void progress_left(struct progress_of_all *all, unsigned threads) {
    if (atomic_exchange(&all->first_left, true))
        return;
    uint64_t min = UINT64_MAX, max = 0;
    for (unsigned i = 0; i < threads; i++) {
        const uint64_t ops = atomic_load_explicit(&all->thread[i].ops, memory_order_relaxed);
        min = ops < min ? ops : min;
        max = ops > max ? ops : max;
    }
    all->min = min;
    all->max = max;
}

/* An engine that promises less (TM_MAY_STARVE) has kept its promise by ending. */
static inline bool progress_of_each(const struct progress_of_all *all, char *why, size_t why_size) {
#ifdef TM_MAY_STARVE
    (void)all, (void)why, (void)why_size;
    return true;
#else
    if (all->min == 0)
        snprintf(why, why_size,
                 "a thread completed nothing while another completed %llu operations",
                 (unsigned long long)all->max);
    return all->min > 0;
#endif
}

#endif
