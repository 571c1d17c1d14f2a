/*
 * counter - "incrementing a global counter", the talk's example of a conflict.
 *
 * One operation increments a counter.  `shared`: all threads the same one, so that every pair of
 * blocks conflicts.  `private`: each thread its own, on lines of its own: nothing conflicts, and
 * what does not scale is the engine.  `sharded`: one of `shards` counters at random, the usual
 * remedy.
 */
#include "tm.h"

enum { SHARED, PRIVATE, SHARDED };

static const struct tm_param counter_params[] = {
    {"mode", "who increments what", TM_CHOICE, "shared", .choices = "shared|private|sharded"},
    {"shards", "counters in mode=sharded", TM_INT, "16", 1, 65536, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

/* So long that neither false sharing nor a prefetcher couples two counters. */
struct counter {
    TM_HEADER;
    uint64_t value;
    char padding[TM_APART - 16];
};
typedef TM_REF(struct counter) counter_ref;

struct world {
    unsigned mode;
    unsigned counters;
    counter_ref *counter; /* plain array of references, constant after setup */
};

static void *counter_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    struct world *w = machine_alloc(sizeof *w);
    if (w == NULL)
        goto out_of_memory;
    w->mode = setup->args[0].choice;
    w->counters = w->mode == SHARED    ? 1
                  : w->mode == PRIVATE ? setup->threads
                                       : (unsigned)setup->args[1].i;
    w->counter = machine_alloc(w->counters * sizeof *w->counter);
    if (w->counter == NULL)
        goto out_of_memory;
    for (unsigned i = 0; i < w->counters; i++)
        w->counter[i] = tm_new(self, struct counter);
    return w;
out_of_memory:
    snprintf(why, why_size, "out of memory");
    machine_free(w);
    return NULL;
}

static inline void counter_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    const uint64_t i = w->mode == SHARED    ? 0
                       : w->mode == PRIVATE ? tm_index(self)
                                            : tm_random_below(rng, w->counters);
    const counter_ref c = w->counter[i]; /* constant: no business of the block's */
    atomic (self) {
        tm_set(c, value, tm_get(c, value) + 1);
    }
}

static bool counter_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    const struct world *w = world;
    uint64_t sum = 0;
    for (unsigned i = 0; i < w->counters; i++)
        sum += tm_get(w->counter[i], value);
    if (sum == ops)
        return true;
    snprintf(why, why_size, "counters add up to %llu, operations were %llu",
             (unsigned long long)sum, (unsigned long long)ops);
    return false;
}

static void counter_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (unsigned i = 0; i < w->counters; i++)
        tm_free(self, w->counter[i]);
    machine_free(w->counter);
    machine_free(w);
}

TM_WORKLOAD(counter, .help = "increment a counter: the smallest conflict there is",
            .params = counter_params, .setup = counter_setup, .verify = counter_verify,
            .teardown = counter_teardown);
