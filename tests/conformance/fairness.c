/*
 * fairness - nobody starves: while one thread runs for its whole interval, every other completes
 * operations.
 *
 * All threads increment one counter, by time.  The first that has finished looks at how far the
 * others have come since all of them had begun; none of them may still be where it was.  An engine
 * that does not promise this (TM_MAY_STARVE) must get all threads to their end, no more: they
 * finish once those that beat them have.
 */
#include "probe.h"

static const struct tm_param conformance_fairness_params[] = {PROBE_INTERVAL_MS("200"),
                                                              PROBE_BLOCKS("1"), PROBE_END};

struct cell {
    TM_HEADER;
    uint64_t value;
};
typedef TM_REF(struct cell) cell_ref;

/* Written by its thread only, read by the first that leaves. */
struct progress {
    _Atomic uint64_t ops;
    char padding[120];
};

struct world {
    struct probe probe;
    cell_ref cell; /* constant after setup */
    struct progress *progress;
    _Atomic bool first_left;
    uint64_t seen_min, seen_max; /* written by the first that leaves */
};

static void *conformance_fairness_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                        size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->progress =
        machine_alloc_aligned(setup->threads * sizeof *w->progress, 2 * (size_t)TM_CACHE_LINE);
    if (w->progress == NULL) {
        snprintf(why, why_size, "out of memory");
        probe_free(w);
        return NULL;
    }
    w->cell = tm_new(self, struct cell);
    return w;
}

static inline void conformance_fairness_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng;
    atomic (self) {
        tm_set(w->cell, value, tm_get(w->cell, value) + 1);
    }
    _Atomic uint64_t *ops = &w->progress[tm_index(self)].ops;
    atomic_store_explicit(ops, atomic_load_explicit(ops, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void conformance_fairness_leave(TM_SELF, void *world) {
    struct world *w = world;
    if (atomic_exchange(&w->first_left, true))
        return;
    uint64_t min = UINT64_MAX, max = 0;
    for (unsigned i = 0; i < w->probe.threads; i++) {
        const uint64_t ops = atomic_load_explicit(&w->progress[i].ops, memory_order_relaxed);
        min = ops < min ? ops : min;
        max = ops > max ? ops : max;
    }
    w->seen_min = min;
    w->seen_max = max;
}

static bool conformance_fairness_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                        size_t why_size) {
    struct world *w = world;
    if (!probe_equal("increments", tm_get(w->cell, value), ops, why, why_size))
        return false;
#ifdef TM_MAY_STARVE
    return true;
#endif
    if (w->seen_min > 0)
        return true;
    snprintf(why, why_size, "a thread completed nothing while another completed %llu operations",
             (unsigned long long)w->seen_max);
    return false;
}

static void conformance_fairness_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->cell);
    machine_free(w->progress);
    probe_free(w);
}

TM_WORKLOAD(conformance_fairness, .help = "every thread makes progress",
            .params = conformance_fairness_params, .setup = conformance_fairness_setup,
            .leave = conformance_fairness_leave, .verify = conformance_fairness_verify,
            .teardown = conformance_fairness_teardown);
