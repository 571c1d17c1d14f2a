/*
 * nested - blocks nest flat: an inner block is part of the outer one.
 *
 * Every operation increments three words: one before, one in, one after an inner block that a
 * function called from the outer block holds.  Nobody may see them differ.  Some operations restart
 * in the inner block, before the first write: then the outer block must start again from its
 * beginning, and exactly the executions that were thrown away are counted.
 */
#define TM_RESTARTS
#include "probe.h"

static const struct tm_param conformance_nested_params[] = {PROBE_OPS("2000"), PROBE_BLOCKS("2"),
                                                            PROBE_END};

struct triple {
    TM_HEADER;
    uint64_t before, inside, after;
};
typedef TM_REF(struct triple) triple_ref;

struct world {
    struct probe probe;
    triple_ref triple; /* constant after setup */
};

static void *conformance_nested_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                      size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w != NULL)
        w->triple = tm_new(self, struct triple);
    return w;
}

TM_FN TM_NOINLINE static void inner_check(TM_SELF, uint64_t inner, uint64_t restarts) {
    atomic (self) {
        if (inner <= restarts)
            tm_abort_restart(self);
    }
}

TM_FN TM_NOINLINE static void inner_add(TM_SELF, triple_ref t) {
    atomic (self) {
        atomic (self) {
            tm_set(t, inside, tm_get(t, inside) + 1);
        }
    }
}

TM_PURE_FN TM_NOINLINE static void count_outer(struct slot *slot) { slot->count[0]++; }

/* Executions since the last explicit restart was due may abort for other reasons: only executions
 * that begin anew from the outer block's first line keep both counts equal. */
TM_PURE_FN TM_NOINLINE static uint64_t count_inner(struct slot *slot) { return ++slot->count[1]; }

static inline void conformance_nested_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const triple_ref t = w->triple;
    const uint64_t restarts = tm_random_below(rng, 3);
    slot->count[0] = slot->count[1] = 0;
    atomic (self) {
        count_outer(slot);
        const uint64_t inner = count_inner(slot);
        inner_check(self, inner, restarts);
        tm_set(t, before, tm_get(t, before) + 1);
        inner_add(self, t);
        tm_set(t, after, tm_get(t, after) + 1);
    }
    EXPECT(slot, "an inner restart did not start the outer block again", slot->count[0],
           slot->count[1]);
    if (slot->count[0] <= restarts)
        slot_note(slot, "a restart was ignored", slot->count[0], restarts + 1);
    atomic (self) {
        const uint64_t before = tm_get(t, before);
        EXPECT(slot, "an inner block committed by itself", tm_get(t, inside), before);
        EXPECT(slot, "an outer block committed without its end", tm_get(t, after), before);
    }
}

static bool conformance_nested_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                      size_t why_size) {
    struct world *w = world;
    return probe_clean(w, why, why_size) &&
           probe_equal("before", tm_get(w->triple, before), ops, why, why_size) &&
           probe_equal("inside", tm_get(w->triple, inside), ops, why, why_size) &&
           probe_equal("after", tm_get(w->triple, after), ops, why, why_size);
}

static void conformance_nested_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->triple);
    probe_free(w);
}

TM_WORKLOAD(conformance_nested, .help = "blocks nest flat", .params = conformance_nested_params,
            .setup = conformance_nested_setup, .verify = conformance_nested_verify,
            .teardown = conformance_nested_teardown);
