/*
 * blocking - a thread that waits for others inside of tm_blocking lets them run their blocks.
 *
 * Each operation increments a counter in a block and then meets all other threads: every one waits,
 * inside of tm_blocking, until the last has arrived.  An engine that keeps its lock during a
 * blocking call never gets there.
 */
#include "probe.h"

static const struct tm_param conformance_blocking_params[] = {PROBE_OPS("100"), PROBE_BLOCKS("2"),
                                                              PROBE_END};

struct cell {
    TM_HEADER;
    uint64_t value;
};
typedef TM_REF(struct cell) cell_ref;

struct world {
    struct probe probe;
    cell_ref cell;            /* constant after setup */
    _Atomic uint32_t arrived; /* threads that have arrived so far, over all meetings */
};

static void *conformance_blocking_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                        size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w != NULL)
        w->cell = tm_new(self, struct cell);
    return w;
}

static inline void conformance_blocking_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng;
    struct slot *slot = probe_slot(self, w);
    const uint32_t threads = w->probe.threads;
    atomic (self) {
        tm_set(w->cell, value, tm_get(w->cell, value) + 1);
    }
    tm_blocking (self) {
        const uint32_t mine = atomic_fetch_add(&w->arrived, 1);
        const uint32_t all = (mine / threads + 1) * threads;
        uint32_t now = mine + 1;
        if (now == all)
            machine_wake(&w->arrived, UINT32_MAX);
        for (; now < all; now = atomic_load(&w->arrived))
            machine_wait(&w->arrived, now, UINT64_MAX);
    }
    slot->count[0]++;
    uint64_t value = 0;
    atomic (self) {
        value = tm_get(w->cell, value);
    }
    if (value < slot->count[0] * threads)
        slot_note(slot, "increments seen behind a meeting", value, slot->count[0] * threads);
}

static bool conformance_blocking_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                        size_t why_size) {
    struct world *w = world;
    return probe_clean(w, why, why_size) &&
           probe_equal("increments", tm_get(w->cell, value), ops, why, why_size);
}

static void conformance_blocking_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->cell);
    probe_free(w);
}

TM_WORKLOAD(conformance_blocking, .help = "blocking calls let the others run",
            .params = conformance_blocking_params, .setup = conformance_blocking_setup,
            .verify = conformance_blocking_verify, .teardown = conformance_blocking_teardown);
