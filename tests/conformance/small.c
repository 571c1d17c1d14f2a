/*
 * small - very many blocks of one increment, and the counters of the engine: every operation has
 * one outermost block, so commits equal operations, however often blocks were executed again.
 */
#include "probe.h"

static const struct tm_param conformance_small_params[] = {PROBE_OPS("20000"), PROBE_BLOCKS("1"),
                                                           PROBE_END};

struct cell {
    TM_HEADER;
    uint64_t value;
    char padding[112];
};
typedef TM_REF(struct cell) cell_ref;

struct world {
    struct probe probe;
    cell_ref shared;
    cell_ref *own; /* [threads], constant after setup */
};

static void *conformance_small_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                     size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->own = machine_alloc(setup->threads * sizeof *w->own);
    if (w->own == NULL) {
        snprintf(why, why_size, "out of memory");
        probe_free(w);
        return NULL;
    }
    w->shared = tm_new(self, struct cell);
    for (unsigned i = 0; i < setup->threads; i++)
        w->own[i] = tm_new(self, struct cell);
    return w;
}

static inline void conformance_small_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    const bool shared = tm_random_below(rng, 4) == 0;
    const cell_ref c = shared ? w->shared : w->own[tm_index(self)];
    atomic (self) {
        tm_set(c, value, tm_get(c, value) + 1);
    }
}

static bool conformance_small_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                     size_t why_size) {
    struct world *w = world;
    uint64_t sum = tm_get(w->shared, value);
    for (unsigned i = 0; i < w->probe.threads; i++)
        sum += tm_get(w->own[i], value);
    return probe_equal("increments", sum, ops, why, why_size);
}

static void conformance_small_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->shared);
    for (unsigned i = 0; i < w->probe.threads; i++)
        tm_free(self, w->own[i]);
    machine_free(w->own);
    probe_free(w);
}

TM_WORKLOAD(conformance_small, .help = "many small blocks, and what the engine counts",
            .params = conformance_small_params, .setup = conformance_small_setup,
            .verify = conformance_small_verify, .teardown = conformance_small_teardown);
