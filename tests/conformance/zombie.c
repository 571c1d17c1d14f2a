/*
 * zombie - opacity: even an execution that will be thrown away sees x == y (Guerraoui and Kapalka,
 * "On the correctness of transactional memory", 2008).
 *
 * Writers add one to x and to y in one block.  Readers read x, then a number of words that nobody
 * writes, then y.  A reader that sees x != y notes it in plain memory, and then does what real code
 * would do with a broken invariant: it counts x up until it meets y, here with a limit.
 */
#include "probe.h"

enum { FILLERS = 24, STEPS_MAX = 1000 };

static const struct tm_param conformance_zombie_params[] = {PROBE_OPS("5000"), PROBE_BLOCKS("1"),
                                                            PROBE_END};

struct cell {
    TM_HEADER;
    uint64_t value;
    char padding[112];
};
typedef TM_REF(struct cell) cell_ref;

struct world {
    struct probe probe;
    cell_ref x, y; /* constant after setup, like the array */
    cell_ref filler[FILLERS];
};

static void *conformance_zombie_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                      size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->x = tm_new(self, struct cell);
    w->y = tm_new(self, struct cell);
    for (unsigned i = 0; i < FILLERS; i++)
        w->filler[i] = tm_new(self, struct cell);
    return w;
}

static inline void conformance_zombie_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    if (tm_random_below(rng, 3) == 0) {
        atomic (self) {
            tm_set(w->x, value, tm_get(w->x, value) + 1);
            tm_set(w->y, value, tm_get(w->y, value) + 1);
        }
        slot->count[0]++;
        return;
    }
    uint64_t steps = 0;
    atomic (self) {
        uint64_t x = tm_get(w->x, value);
        uint64_t sum = 0;
        for (unsigned i = 0; i < FILLERS; i++)
            sum += tm_get(w->filler[i], value);
        const uint64_t y = tm_get(w->y, value);
        EXPECT(slot, "x and y differ inside a block", x, y);
        uint64_t n = sum;
        for (; x != y && n < STEPS_MAX; x++)
            n++;
        steps = n;
    }
    EXPECT(slot, "a committed reader walked from x to y", steps, 0);
}

static bool conformance_zombie_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                      size_t why_size) {
    (void)ops;
    struct world *w = world;
    return probe_clean(w, why, why_size) &&
           probe_equal("x", tm_get(w->x, value), probe_sum(w, 0), why, why_size) &&
           probe_equal("y", tm_get(w->y, value), probe_sum(w, 0), why, why_size);
}

static void conformance_zombie_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->x);
    tm_free(self, w->y);
    for (unsigned i = 0; i < FILLERS; i++)
        tm_free(self, w->filler[i]);
    probe_free(w);
}

TM_WORKLOAD(conformance_zombie, .help = "x == y even in executions that are thrown away",
            .params = conformance_zombie_params, .setup = conformance_zombie_setup,
            .verify = conformance_zombie_verify, .teardown = conformance_zombie_teardown);
