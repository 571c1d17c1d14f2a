/*
 * memory - allocations and frees belong to the block: both happen when it commits, once.
 *
 * Each block allocates a chunk, frees the one in a shared slot and puts its own there.  On engines
 * that can undo writes it also gives up twice behind allocation and free: the chunk must be gone (a
 * leak shows in the resident set, and under AddressSanitizer), and the freed one must still be
 * there. A new chunk is zeroed, also where memory is used again.
 */
#define TM_RESTARTS
#include "probe.h"

enum { SLOTS = 3, WORDS = 2000 };
#define MAGIC UINT64_C(0x600d600d600d600d)

static const struct tm_param conformance_memory_params[] = {PROBE_OPS("700"), PROBE_BLOCKS("1"),
                                                            PROBE_RSS_MB("64"), PROBE_END};

struct chunk {
    TM_HEADER;
    uint64_t magic;
    uint64_t words;
    uint64_t word[];
};
typedef TM_REF(struct chunk) chunk_ref;

struct holder {
    TM_HEADER;
    chunk_ref chunk;
    char padding[112];
};
typedef TM_REF(struct holder) holder_ref;

struct world {
    struct probe probe;
    holder_ref holder[SLOTS]; /* constant after setup */
};

static void *conformance_memory_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                      size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    for (unsigned i = 0; w != NULL && i < SLOTS; i++)
        w->holder[i] = tm_new(self, struct holder);
    return w;
}

static inline void conformance_memory_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const holder_ref holder = w->holder[tm_random_below(rng, SLOTS)];
    const uint64_t words = 1 + tm_random_below(rng, WORDS);
    const uint64_t somewhere = tm_random_below(rng, words);
    const uint64_t restarts = tm_engine_descriptor.rollback ? 2 : 0;
    slot->attempts = 0;
    atomic (self) {
        const uint64_t attempt = slot_attempt(slot);
        const chunk_ref chunk = tm_new_array(self, struct chunk, word, words);
        const uint64_t zeros = tm_get(chunk, magic) | tm_get(chunk, words) |
                               tm_get_at(chunk, word, 0) | tm_get_at(chunk, word, somewhere) |
                               tm_get_at(chunk, word, words - 1);
        EXPECT(slot, "a new object was not zero", zeros, 0);
        tm_set(chunk, magic, MAGIC);
        tm_set(chunk, words, words);
        tm_set_at(chunk, word, somewhere, words);
        tm_set_at(chunk, word, words - 1, words);
        const chunk_ref old = tm_get(holder, chunk);
        if (old != NULL) {
            const uint64_t size = tm_get(old, words);
            EXPECT(slot, "the object in the slot was freed", tm_get(old, magic), MAGIC);
            if (size > 0)
                EXPECT(slot, "the last word of the object in the slot",
                       tm_get_at(old, word, size - 1), size);
            tm_free(self, old);
        }
        tm_set(holder, chunk, chunk);
        if (attempt <= restarts)
            tm_abort_restart(self);
    }
}

static bool conformance_memory_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                      size_t why_size) {
    (void)ops;
    struct world *w = world;
    for (unsigned i = 0; i < SLOTS; i++) {
        const chunk_ref chunk = tm_get(w->holder[i], chunk);
        if (chunk != NULL &&
            !probe_equal("object at the end", tm_get(chunk, magic), MAGIC, why, why_size))
            return false;
    }
    return probe_clean(w, why, why_size);
}

static void conformance_memory_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (unsigned i = 0; i < SLOTS; i++) {
        const chunk_ref chunk = tm_get(w->holder[i], chunk);
        if (chunk != NULL)
            tm_free(self, chunk);
        tm_free(self, w->holder[i]);
    }
    probe_free(w);
}

TM_WORKLOAD(conformance_memory, .help = "allocation and free belong to the block",
            .params = conformance_memory_params, .setup = conformance_memory_setup,
            .verify = conformance_memory_verify, .teardown = conformance_memory_teardown);
