/*
 * large - blocks of 100,000 reads and 10,000 writes beside small ones that conflict with them.
 *
 * Every tenth word carries the number of large writing blocks so far, all others stay zero; small
 * blocks change a counter that large blocks read first.
 */
#include "probe.h"

enum { WORDS = 100000, STRIDE = 10 };

static const struct tm_param conformance_large_params[] = {PROBE_OPS("60"), PROBE_END};

struct array {
    TM_HEADER;
    uint64_t counter;
    uint64_t word[];
};
typedef TM_REF(struct array) array_ref;

struct world {
    struct probe probe;
    array_ref array; /* constant after setup */
};

static void *conformance_large_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                     size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w != NULL)
        w->array = tm_new_array(self, struct array, word, WORDS);
    return w;
}

static inline void conformance_large_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const array_ref a = w->array;
    const uint64_t what = tm_random_below(rng, 20);
    if (what == 0) { /* 100,000 reads */
        uint64_t sum = 0, rounds = 0;
        atomic (self) {
            uint64_t s = 0;
            rounds = tm_get_at(a, word, 0);
            for (size_t i = 0; i < WORDS; i++)
                s += tm_get_at(a, word, i);
            sum = s;
        }
        EXPECT(slot, "sum over a large read", sum, rounds * (WORDS / STRIDE));
    } else if (what == 1) { /* 10,000 reads and writes */
        atomic (self) {
            const uint64_t next = tm_get_at(a, word, 0) + 1;
            for (size_t i = 0; i < WORDS; i += STRIDE) {
                EXPECT(slot, "a word of another round", tm_get_at(a, word, i), next - 1);
                tm_set_at(a, word, i, next);
            }
            EXPECT(slot, "own write among ten thousand", tm_get_at(a, word, WORDS / 2), next);
        }
        slot->count[0]++;
    } else {
        atomic (self) {
            tm_set(a, counter, tm_get(a, counter) + 1);
            tm_safepoint(self);
        }
        slot->count[1]++;
    }
}

static bool conformance_large_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                     size_t why_size) {
    (void)ops;
    struct world *w = world;
    for (size_t i = 0; i < WORDS; i++)
        if (!probe_equal("word at the end", tm_get_at(w->array, word, i),
                         i % STRIDE == 0 ? probe_sum(w, 0) : 0, why, why_size))
            return false;
    return probe_clean(w, why, why_size) &&
           probe_equal("counter", tm_get(w->array, counter), probe_sum(w, 1), why, why_size);
}

static void conformance_large_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->array);
    probe_free(w);
}

TM_WORKLOAD(conformance_large, .help = "100,000 reads and 10,000 writes in one block",
            .params = conformance_large_params, .setup = conformance_large_setup,
            .verify = conformance_large_verify, .teardown = conformance_large_teardown);
