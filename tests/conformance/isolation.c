/*
 * isolation - what a block has written is invisible until it commits, and what it reads stays.
 *
 * A writer first fills all words with a value that no commit ever leaves behind (the top bit is
 * set), reads all of them back, then fills them with one even number.  A reader that sees a top bit
 * or two different words has read what was not committed, or a mixture of two commits.  Every block
 * reads its first word a second time at its end.
 */
#include "probe.h"

enum { WORDS = 12 };
#define DIRTY (UINT64_C(1) << 63)

static const struct tm_param conformance_isolation_params[] = {PROBE_OPS("3000"), PROBE_BLOCKS("1"),
                                                               PROBE_END};

struct page {
    TM_HEADER;
    uint64_t word[WORDS];
};
typedef TM_REF(struct page) page_ref;

struct world {
    struct probe probe;
    page_ref page; /* constant after setup */
};

static void *conformance_isolation_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                         size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w != NULL)
        w->page = tm_new(self, struct page);
    return w;
}

static inline void conformance_isolation_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const uint64_t dirty = DIRTY | tm_index(self);
    const uint64_t value = tm_random(rng) >> 2;
    const page_ref page = w->page;
    if (tm_random_below(rng, 2) == 0) {
        atomic (self) {
            const uint64_t first = tm_get_at(page, word, 0);
            for (unsigned i = 1; i < WORDS; i++)
                EXPECT(slot, "a reader saw words of two commits", tm_get_at(page, word, i), first);
            EXPECT(slot, "a reader saw what was not committed", first & DIRTY, 0);
            EXPECT(slot, "a word changed between two reads of one block", tm_get_at(page, word, 0),
                   first);
        }
        return;
    }
    atomic (self) {
        for (unsigned i = 0; i < WORDS; i++)
            tm_set_at(page, word, i, dirty);
        for (unsigned i = 0; i < WORDS; i++)
            EXPECT(slot, "a writer saw another writer's word", tm_get_at(page, word, i), dirty);
        for (unsigned i = 0; i < WORDS; i++)
            tm_set_at(page, word, i, value);
    }
}

static bool conformance_isolation_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                         size_t why_size) {
    (void)ops;
    struct world *w = world;
    const uint64_t first = tm_get_at(w->page, word, 0);
    for (unsigned i = 0; i < WORDS; i++)
        if (!probe_equal("words at the end", tm_get_at(w->page, word, i), first, why, why_size))
            return false;
    return probe_clean(w, why, why_size) &&
           probe_equal("dirty at the end", first & DIRTY, 0, why, why_size);
}

static void conformance_isolation_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->page);
    probe_free(w);
}

TM_WORKLOAD(conformance_isolation, .help = "no uncommitted value is ever seen",
            .params = conformance_isolation_params, .setup = conformance_isolation_setup,
            .verify = conformance_isolation_verify, .teardown = conformance_isolation_teardown);
