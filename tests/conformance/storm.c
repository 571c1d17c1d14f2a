/*
 * storm - blocks that give up several times before they commit.
 *
 * Each block restarts one to six times.  On engines that can undo writes it does so behind writes
 * to all words, whose effects must be gone without a trace; on the others before the first write.
 */
#define TM_RESTARTS
#include "probe.h"

enum { WORDS = 32 };

static const struct tm_param conformance_storm_params[] = {PROBE_OPS("1000"), PROBE_BLOCKS("1"),
                                                           PROBE_RESTARTS("1"), PROBE_END};

struct page {
    TM_HEADER;
    uint64_t word[WORDS];
    uint8_t byte[WORDS];
};
typedef TM_REF(struct page) page_ref;

struct world {
    struct probe probe;
    page_ref page; /* constant after setup */
};

static void *conformance_storm_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                     size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w != NULL)
        w->page = tm_new(self, struct page);
    return w;
}

/* Whether this execution is to give up: `restarts` of them do, others may abort by themselves. */
TM_PURE_FN TM_NOINLINE static bool restart_is_due(struct slot *slot, uint64_t restarts) {
    if (slot->count[0] == restarts)
        return false;
    slot->count[0]++;
    return true;
}

static inline void conformance_storm_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const page_ref page = w->page;
    const uint64_t restarts = 1 + tm_random_below(rng, 6);
    const uint64_t late = tm_random_below(rng, WORDS);
    const bool rollback = tm_engine_descriptor.rollback;
    slot->attempts = slot->count[0] = 0;
    atomic (self) {
        slot_attempt(slot);
        const uint64_t first = tm_get_at(page, word, 0);
        if (!rollback && restart_is_due(slot, restarts))
            tm_abort_restart(self);
        for (uint64_t i = 0; i < WORDS; i++) {
            EXPECT(slot, "a word of an execution that was thrown away", tm_get_at(page, word, i),
                   first);
            EXPECT(slot, "a byte of an execution that was thrown away", tm_get_at(page, byte, i),
                   (uint8_t)first);
            tm_set_at(page, word, i, first + 1);
            tm_set_at(page, byte, i, (uint8_t)(first + 1));
            if (i == late && rollback && restart_is_due(slot, restarts))
                tm_abort_restart(self);
        }
    }
    if (slot->attempts <= restarts)
        slot_note(slot, "a restart was ignored", slot->attempts, restarts + 1);
}

static bool conformance_storm_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                     size_t why_size) {
    struct world *w = world;
    for (unsigned i = 0; i < WORDS; i++)
        if (!probe_equal("word at the end", tm_get_at(w->page, word, i), ops, why, why_size) ||
            !probe_equal("byte at the end", tm_get_at(w->page, byte, i), (uint8_t)ops, why,
                         why_size))
            return false;
    return probe_clean(w, why, why_size);
}

static void conformance_storm_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->page);
    probe_free(w);
}

TM_WORKLOAD(conformance_storm, .help = "blocks that give up several times",
            .params = conformance_storm_params, .setup = conformance_storm_setup,
            .verify = conformance_storm_verify, .teardown = conformance_storm_teardown);
