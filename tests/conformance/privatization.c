/*
 * privatization - an object that a block has detached belongs to the thread that detached it
 * (Spear et al., "Privatization techniques for software transactional memory", 2007).
 *
 * A few slots hold objects whose words are all equal.  A writer adds one to every word of a slot's
 * object in a block.  A privatiser takes the object out of its slot in a block, works on it with
 * plain accesses and puts it back in another block.  A delayed writer (a commit whose stores arrive
 * after the detaching block has finished) changes words under the privatiser's feet or loses its
 * increments; a doomed reader sees words that are not equal.
 */
#include "probe.h"

enum { SLOTS = 2, WORDS = 8 };

static const struct tm_param conformance_privatization_params[] = {PROBE_OPS("3000"), PROBE_END};

struct object {
    TM_HEADER;
    uint64_t word[WORDS];
};
typedef TM_REF(struct object) object_ref;

struct holder {
    TM_HEADER;
    object_ref object; /* NULL while a thread owns it */
    char padding[112];
};
typedef TM_REF(struct holder) holder_ref;

struct world {
    struct probe probe;
    holder_ref holder[SLOTS]; /* constant after setup */
};

static void *conformance_privatization_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                             size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    for (unsigned i = 0; w != NULL && i < SLOTS; i++) {
        w->holder[i] = tm_new(self, struct holder);
        tm_set(w->holder[i], object, tm_new(self, struct object));
    }
    return w;
}

/* Plain work on an object that this thread has detached. */
static void work_privately(TM_SELF, struct slot *slot, object_ref mine) {
    const uint64_t first = tm_plain_get_at(mine, word, 0);
    for (unsigned i = 0; i < WORDS; i++)
        EXPECT(slot, "a detached object was half written", tm_plain_get_at(mine, word, i), first);
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < WORDS; i++)
            tm_plain_set_at(mine, word, i, first + round);
        for (unsigned i = 0; i < WORDS; i++)
            EXPECT(slot, "a detached object changed under its owner",
                   tm_plain_get_at(mine, word, i), first + round);
    }
    slot->count[0] += 3;
}

static inline void conformance_privatization_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const holder_ref holder = w->holder[tm_random_below(rng, SLOTS)];
    if (tm_random_below(rng, 4) != 0) {
        bool wrote = false;
        atomic (self) {
            const object_ref object = tm_get(holder, object);
            wrote = object != NULL;
            if (object != NULL) {
                const uint64_t first = tm_get_at(object, word, 0);
                for (unsigned i = 0; i < WORDS; i++) {
                    EXPECT(slot, "a block saw an object that its owner is changing",
                           tm_get_at(object, word, i), first);
                    tm_set_at(object, word, i, first + 1);
                }
            }
        }
        slot->count[0] += wrote;
        return;
    }
    object_ref mine = NULL;
    atomic (self) {
        const object_ref object = tm_get(holder, object);
        if (object != NULL)
            tm_set(holder, object, NULL);
        mine = object;
    }
    if (mine == NULL)
        return;
    work_privately(self, slot, mine);
    atomic (self) {
        tm_set(holder, object, mine);
    }
}

static bool conformance_privatization_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                             size_t why_size) {
    (void)ops;
    struct world *w = world;
    uint64_t sum = 0;
    for (unsigned s = 0; s < SLOTS; s++) {
        const object_ref object = tm_get(w->holder[s], object);
        if (object == NULL)
            return probe_equal("objects lost", 1, 0, why, why_size);
        for (unsigned i = 0; i < WORDS; i++)
            sum += tm_get_at(object, word, i);
    }
    return probe_clean(w, why, why_size) &&
           probe_equal("sum of all words", sum, WORDS * probe_sum(w, 0), why, why_size);
}

static void conformance_privatization_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (unsigned s = 0; s < SLOTS; s++) {
        tm_free(self, tm_get(w->holder[s], object));
        tm_free(self, w->holder[s]);
    }
    probe_free(w);
}

TM_WORKLOAD(conformance_privatization, .help = "a detached object belongs to its owner",
            .params = conformance_privatization_params, .setup = conformance_privatization_setup,
            .verify = conformance_privatization_verify,
            .teardown = conformance_privatization_teardown);
