/*
 * publication - what a thread wrote into its private object by plain stores is there for every
 * block that finds the object through a reference published later.
 *
 * A publisher allocates an object in one block, fills it outside of blocks, and puts it into the
 * slot with a second block that frees the predecessor.  A reader checks every word of what it
 * finds: a zero, a foreign word or poison means it read too early, or too late.
 */
#include "probe.h"

enum { WORDS = 10 };
#define POISON UINT64_C(0xdeadbeefdeadbeef)

static const struct tm_param conformance_publication_params[] = {PROBE_OPS("3000"), PROBE_END};

struct object {
    TM_HEADER;
    uint64_t tag;
    uint64_t word[WORDS];
};
typedef TM_REF(struct object) object_ref;

struct holder {
    TM_HEADER;
    object_ref object;
};
typedef TM_REF(struct holder) holder_ref;

struct world {
    struct probe probe;
    holder_ref holder; /* constant after setup */
};

static inline uint64_t word_of(uint64_t tag, unsigned i) {
    return (tag + i + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static void *conformance_publication_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                           size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->holder = tm_new(self, struct holder);
    const object_ref object = tm_new(self, struct object);
    for (unsigned i = 0; i < WORDS; i++)
        tm_set_at(object, word, i, word_of(0, i));
    tm_set(w->holder, object, object);
    return w;
}

static inline void conformance_publication_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const uint64_t tag = tm_random(rng) >> 1;
    if (tm_random_below(rng, 3) != 0) {
        atomic (self) {
            const object_ref object = tm_get(w->holder, object);
            const uint64_t found = tm_get(object, tag);
            for (unsigned i = 0; i < WORDS; i++)
                EXPECT(slot, "a published object was not complete", tm_get_at(object, word, i),
                       word_of(found, i));
        }
        return;
    }
    object_ref fresh = NULL;
    atomic (self) {
        fresh = tm_new(self, struct object);
    }
    EXPECT(slot, "a new object was not zero", tm_plain_get(fresh, tag), 0);
    for (unsigned i = 0; i < WORDS; i++)
        EXPECT(slot, "a new object was not zero", tm_plain_get_at(fresh, word, i), 0);
    tm_plain_set(fresh, tag, tag);
    for (unsigned i = 0; i < WORDS; i++)
        tm_plain_set_at(fresh, word, i, word_of(tag, i));
    object_ref old = NULL;
    atomic (self) {
        old = tm_get(w->holder, object);
        tm_set(w->holder, object, fresh);
    }
    if (tag % 2 == 0) /* the predecessor is private now: late readers must not act on this */
        for (unsigned i = 0; i < WORDS; i++)
            tm_plain_set_at(old, word, i, POISON);
    atomic (self) {
        tm_free(self, old);
    }
}

static bool conformance_publication_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                           size_t why_size) {
    (void)ops;
    struct world *w = world;
    const object_ref object = tm_get(w->holder, object);
    for (unsigned i = 0; i < WORDS; i++)
        if (!probe_equal("word at the end", tm_get_at(object, word, i),
                         word_of(tm_get(object, tag), i), why, why_size))
            return false;
    return probe_clean(w, why, why_size);
}

static void conformance_publication_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, tm_get(w->holder, object));
    tm_free(self, w->holder);
    probe_free(w);
}

TM_WORKLOAD(conformance_publication, .help = "plain stores before publication are seen",
            .params = conformance_publication_params, .setup = conformance_publication_setup,
            .verify = conformance_publication_verify, .teardown = conformance_publication_teardown);
