/*
 * irrevocable - behind tm_irrevocable a block cannot be thrown away, and only one block is there at
 * a time.
 *
 * Each operation becomes irrevocable first thing, after reads, or after writes, and then does what
 * cannot be undone: it changes plain memory that is shared and protected by nothing else, and logs
 * the value of a transactional sequence number.  Every log entry must be there once, in order, and
 * nobody may be inside together with another.
 */
#include "probe.h"

static const struct tm_param conformance_irrevocable_params[] = {
    PROBE_OPS("1500"), PROBE_BLOCKS("2"), PROBE_IRREVOCABLE("1"), PROBE_END};

struct shared {
    TM_HEADER;
    uint64_t sequence;
    uint64_t word[8]; /* all equal */
};
typedef TM_REF(struct shared) shared_ref;

/* Plain memory: written by the one irrevocable block of the moment. */
struct side {
    uint64_t inside;
    uint64_t next;     /* sequence number that must come now */
    uint64_t disorder; /* times that another came */
    uint64_t crowd;    /* times that two were inside */
    uint64_t spin;
};

struct world {
    struct probe probe;
    shared_ref shared; /* constant after setup */
    struct side *side;
};

static void *conformance_irrevocable_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                           size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->side = machine_alloc_aligned(sizeof *w->side, TM_CACHE_LINE);
    if (w->side == NULL) {
        snprintf(why, why_size, "out of memory");
        probe_free(w);
        return NULL;
    }
    w->shared = tm_new(self, struct shared);
    return w;
}

TM_PURE_FN TM_NOINLINE static void side_effect(struct side *side, struct slot *slot,
                                               uint64_t sequence) {
    if (side->inside++ != 0)
        side->crowd++;
    if (sequence != side->next)
        side->disorder++;
    side->next = sequence + 1;
    for (unsigned i = 0; i < 50; i++) { /* time for others to come in */
        side->spin += i;
        __asm__ volatile("" ::: "memory");
    }
    side->inside--;
    slot->count[0]++;
}

static inline void conformance_irrevocable_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const shared_ref s = w->shared;
    struct side *side = w->side;
    const uint64_t when = tm_random_below(rng, 3);
    const uint64_t effects = slot->count[0];
    atomic (self) { /* a competitor that is not irrevocable */
        const uint64_t first = tm_get_at(s, word, 0);
        for (unsigned i = 0; i < 8; i++) {
            EXPECT(slot, "words differ", tm_get_at(s, word, i), first);
            tm_set_at(s, word, i, first + 1);
        }
    }
    atomic (self) {
        if (when == 0)
            tm_irrevocable(self);
        uint64_t first = tm_get_at(s, word, 0);
        const uint64_t sequence = tm_get(s, sequence);
        if (when == 1)
            tm_irrevocable(self);
        for (unsigned i = 0; i < 4; i++)
            tm_set_at(s, word, i, first + 1);
        tm_set(s, sequence, sequence + 1);
        if (when == 2)
            tm_irrevocable(self);
        side_effect(side, slot, sequence);
        first = tm_get_at(s, word, 0);
        for (unsigned i = 4; i < 8; i++)
            tm_set_at(s, word, i, first);
        EXPECT(slot, "own write lost when the block became irrevocable", tm_get(s, sequence),
               sequence + 1);
    }
    EXPECT(slot, "side effects of one irrevocable block", slot->count[0], effects + 1);
}

static bool conformance_irrevocable_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                           size_t why_size) {
    struct world *w = world;
    return probe_clean(w, why, why_size) &&
           probe_equal("two irrevocable blocks at once", w->side->crowd, 0, why, why_size) &&
           probe_equal("side effects out of order", w->side->disorder, 0, why, why_size) &&
           probe_equal("side effects", w->side->next, ops, why, why_size) &&
           probe_equal("sequence", tm_get(w->shared, sequence), ops, why, why_size) &&
           probe_equal("word", tm_get_at(w->shared, word, 7), 2 * ops, why, why_size);
}

static void conformance_irrevocable_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->shared);
    machine_free(w->side);
    probe_free(w);
}

TM_WORKLOAD(conformance_irrevocable, .help = "side effects happen once, and one at a time",
            .params = conformance_irrevocable_params, .setup = conformance_irrevocable_setup,
            .verify = conformance_irrevocable_verify, .teardown = conformance_irrevocable_teardown);
