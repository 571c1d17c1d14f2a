/*
 * write_skew - serialisability: two blocks that read both words and write one each must not both
 * commit on the same state (Berenson et al., "A critique of ANSI SQL isolation levels", 1995).
 *
 * The sum of two words is 0 or 1.  A block adds one to its own word when the sum is 0 and takes one
 * from it when it is 1, so that the sum turns with every block, whatever the order.  Snapshot
 * isolation would let it reach 2 or -1.
 */
#include "probe.h"

static const struct tm_param conformance_write_skew_params[] = {PROBE_OPS("5000"),
                                                                PROBE_BLOCKS("1"), PROBE_END};

struct cell {
    TM_HEADER;
    int64_t value;
    char padding[112];
};
typedef TM_REF(struct cell) cell_ref;

struct world {
    struct probe probe;
    cell_ref cell[2]; /* constant after setup */
};

static void *conformance_write_skew_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                          size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    for (unsigned i = 0; w != NULL && i < 2; i++)
        w->cell[i] = tm_new(self, struct cell);
    return w;
}

static inline void conformance_write_skew_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng;
    struct slot *slot = probe_slot(self, w);
    const cell_ref own = w->cell[tm_index(self) % 2];
    int64_t seen = 0;
    atomic (self) {
        const int64_t sum = tm_get(w->cell[0], value) + tm_get(w->cell[1], value);
        seen = sum;
        if (sum == 0)
            tm_set(own, value, tm_get(own, value) + 1);
        else
            tm_set(own, value, tm_get(own, value) - 1);
    }
    if (seen != 0)
        EXPECT(slot, "the sum was neither 0 nor 1", seen, 1);
}

static bool conformance_write_skew_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                          size_t why_size) {
    struct world *w = world;
    const int64_t sum = tm_get(w->cell[0], value) + tm_get(w->cell[1], value);
    return probe_clean(w, why, why_size) &&
           probe_equal("sum at the end", (uint64_t)sum, ops % 2, why, why_size);
}

static void conformance_write_skew_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->cell[0]);
    tm_free(self, w->cell[1]);
    probe_free(w);
}

TM_WORKLOAD(conformance_write_skew, .help = "blocks are serialisable, not only isolated",
            .params = conformance_write_skew_params, .setup = conformance_write_skew_setup,
            .verify = conformance_write_skew_verify, .teardown = conformance_write_skew_teardown);
