/*
 * fairness - nobody starves: while one thread runs for its whole interval, every other completes
 * operations.
 *
 * All threads increment one counter, by time.  The first that has finished looks at how far the
 * others have come since all of them had begun; none of them may still be where it was.  An engine
 * that does not promise this (TM_MAY_STARVE) must get all threads to their end, no more: they
 * finish once those that beat them have.
 */
#include "progress.h"

static const struct tm_param conformance_fairness_params[] = {PROBE_INTERVAL_MS("200"),
                                                              PROBE_BLOCKS("1"), PROBE_END};

struct cell {
    TM_HEADER;
    uint64_t value;
};
typedef TM_REF(struct cell) cell_ref;

struct world {
    struct probe probe;
    cell_ref cell; /* constant after setup */
    struct progress_of_all progress;
};

static void *conformance_fairness_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                        size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    if (!progress_begin(&w->progress, setup->threads, why, why_size)) {
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
    progress_made(&w->progress, tm_index(self));
}

static void conformance_fairness_leave(TM_SELF, void *world) {
    struct world *w = world;
    progress_left(&w->progress, w->probe.threads);
}

static bool conformance_fairness_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                        size_t why_size) {
    struct world *w = world;
    return probe_equal("increments", tm_get(w->cell, value), ops, why, why_size) &&
           progress_of_each(&w->progress, why, why_size);
}

static void conformance_fairness_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->cell);
    machine_free(w->progress.thread);
    probe_free(w);
}

TM_WORKLOAD(conformance_fairness, .help = "every thread makes progress",
            .params = conformance_fairness_params, .setup = conformance_fairness_setup,
            .leave = conformance_fairness_leave, .verify = conformance_fairness_verify,
            .teardown = conformance_fairness_teardown);
