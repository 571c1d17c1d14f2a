/*
 * overlap - a block reads what it has itself written, also with another size: eight bytes written
 * and one read, two written into eight already written, and all other pairs.
 *
 * A block carries out a random program of reads and writes of 1, 2, 4 and 8 bytes over a few words
 * and follows it in a private model; each read must give what the model says.  The block reads all
 * words first, so that the model starts from the committed state.
 */
#include "probe.h"

enum { WORDS = 4, STEPS = 40 };

static const struct tm_param conformance_overlap_params[] = {PROBE_OPS("1000"), PROBE_BLOCKS("1"),
                                                             PROBE_END};

union word {
    uint64_t u64[WORDS];
    uint32_t u32[2 * WORDS];
    uint16_t u16[4 * WORDS];
    uint8_t u8[8 * WORDS];
};

struct page {
    TM_HEADER;
    union word at;
};
typedef TM_REF(struct page) page_ref;

struct world {
    struct probe probe;
    page_ref page; /* constant after setup */
};

static void *conformance_overlap_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                       size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w != NULL)
        w->page = tm_new(self, struct page);
    return w;
}

static inline uint64_t next_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 20;
}

TM_FN static void step(TM_SELF, page_ref page, union word *model, uint64_t *state,
                       struct slot *slot) {
    const uint64_t value = next_random(state) * UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t choice = next_random(state);
    const uint64_t i = next_random(state) % (8 * WORDS);
    switch (choice % 8) {
    case 0:
        tm_set_at(page, at.u8, i, (uint8_t)value);
        model->u8[i] = (uint8_t)value;
        break;
    case 1:
        tm_set_at(page, at.u16, i / 2, (uint16_t)value);
        model->u16[i / 2] = (uint16_t)value;
        break;
    case 2:
        tm_set_at(page, at.u32, i / 4, (uint32_t)value);
        model->u32[i / 4] = (uint32_t)value;
        break;
    case 3:
        tm_set_at(page, at.u64, i / 8, value);
        model->u64[i / 8] = value;
        break;
    case 4:
        EXPECT(slot, "one byte read back", tm_get_at(page, at.u8, i), model->u8[i]);
        break;
    case 5:
        EXPECT(slot, "two bytes read back", tm_get_at(page, at.u16, i / 2), model->u16[i / 2]);
        break;
    case 6:
        EXPECT(slot, "four bytes read back", tm_get_at(page, at.u32, i / 4), model->u32[i / 4]);
        break;
    default:
        EXPECT(slot, "eight bytes read back", tm_get_at(page, at.u64, i / 8), model->u64[i / 8]);
        break;
    }
}

static inline void conformance_overlap_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const page_ref page = w->page;
    const uint64_t program = tm_random(rng);
    atomic (self) {
        union word model;
        uint64_t state = program;
        uint64_t parity = 0;
        for (unsigned i = 0; i < WORDS; i++) {
            model.u64[i] = tm_get_at(page, at.u64, i);
            parity ^= model.u64[i];
        }
        EXPECT(slot, "words of two commits", parity, 0);
        for (unsigned i = 0; i < STEPS; i++)
            step(self, page, &model, &state, slot);
        parity = 0;
        for (unsigned i = 0; i + 1 < WORDS; i++) {
            EXPECT(slot, "a word at the end of its block", tm_get_at(page, at.u64, i),
                   model.u64[i]);
            parity ^= model.u64[i];
        }
        tm_set_at(page, at.u64, WORDS - 1, parity); /* all words together give 0 */
    }
}

static bool conformance_overlap_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                       size_t why_size) {
    (void)ops;
    struct world *w = world;
    uint64_t parity = 0;
    for (unsigned i = 0; i < WORDS; i++)
        parity ^= tm_get_at(w->page, at.u64, i);
    return probe_clean(w, why, why_size) && probe_equal("parity", parity, 0, why, why_size);
}

static void conformance_overlap_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->page);
    probe_free(w);
}

TM_WORKLOAD(conformance_overlap, .help = "own writes are read back with every size",
            .params = conformance_overlap_params, .setup = conformance_overlap_setup,
            .verify = conformance_overlap_verify, .teardown = conformance_overlap_teardown);
