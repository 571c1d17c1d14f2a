/*
 * neighbours - threads own neighbouring bytes of one word: a write of fewer than eight bytes must
 * not write the bytes beside it.
 *
 * Every thread increments elements of arrays of 1, 2 and 4 bytes that only it writes, some in
 * blocks, some by plain accesses outside of them (they are private to it).  Words of different
 * owners interleave, and bytes between them that nobody writes keep their pattern.
 */
#include "probe.h"

enum { LANES = 16, BYSTANDER = 0xa5 };

static const struct tm_param conformance_neighbours_params[] = {PROBE_OPS("3000"), PROBE_END};

struct lanes {
    TM_HEADER;
    uint8_t byte[3 * LANES];  /* 3i: thread i in blocks; 3i+1: nobody; 3i+2: thread i, plainly */
    uint16_t half[2 * LANES]; /* 2i: thread i in blocks; 2i+1: thread i, plainly */
    uint32_t word[2 * LANES]; /* likewise */
};
typedef TM_REF(struct lanes) lanes_ref;

struct world {
    struct probe probe;
    lanes_ref lanes; /* constant after setup */
};

static void *conformance_neighbours_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                          size_t why_size) {
    if (setup->threads > LANES) {
        snprintf(why, why_size, "at most %d threads", LANES);
        return NULL;
    }
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->lanes = tm_new(self, struct lanes);
    for (unsigned i = 0; i < LANES; i++)
        tm_set_at(w->lanes, byte, 3 * i + 1, BYSTANDER);
    return w;
}

static inline void conformance_neighbours_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const lanes_ref l = w->lanes;
    const unsigned i = tm_index(self);
    const uint64_t what = tm_random_below(rng, 6);
    switch (what) {
    case 0:
        atomic (self) {
            tm_set_at(l, byte, 3 * i, (uint8_t)(tm_get_at(l, byte, 3 * i) + 1));
        }
        break;
    case 1:
        atomic (self) {
            tm_set_at(l, half, 2 * i, (uint16_t)(tm_get_at(l, half, 2 * i) + 1));
        }
        break;
    case 2:
        atomic (self) {
            tm_set_at(l, word, 2 * i, tm_get_at(l, word, 2 * i) + 1);
        }
        break;
    case 3:
        tm_plain_set_at(l, byte, 3 * i + 2, (uint8_t)(tm_plain_get_at(l, byte, 3 * i + 2) + 1));
        break;
    case 4:
        tm_plain_set_at(l, half, 2 * i + 1, (uint16_t)(tm_plain_get_at(l, half, 2 * i + 1) + 1));
        break;
    default:
        tm_plain_set_at(l, word, 2 * i + 1, tm_plain_get_at(l, word, 2 * i + 1) + 1);
        break;
    }
    slot->count[what]++;
}

static bool conformance_neighbours_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                          size_t why_size) {
    (void)ops;
    struct world *w = world;
    const lanes_ref l = w->lanes;
    for (unsigned i = 0; i < w->probe.threads; i++) {
        const uint64_t *count = w->probe.slot[i].count;
        if (!probe_equal("byte written in blocks", tm_get_at(l, byte, 3 * i), (uint8_t)count[0],
                         why, why_size) ||
            !probe_equal("half written in blocks", tm_get_at(l, half, 2 * i), (uint16_t)count[1],
                         why, why_size) ||
            !probe_equal("word written in blocks", tm_get_at(l, word, 2 * i), (uint32_t)count[2],
                         why, why_size) ||
            !probe_equal("byte written plainly", tm_get_at(l, byte, 3 * i + 2), (uint8_t)count[3],
                         why, why_size) ||
            !probe_equal("half written plainly", tm_get_at(l, half, 2 * i + 1), (uint16_t)count[4],
                         why, why_size) ||
            !probe_equal("word written plainly", tm_get_at(l, word, 2 * i + 1), (uint32_t)count[5],
                         why, why_size))
            return false;
    }
    for (unsigned i = 0; i < LANES; i++)
        if (!probe_equal("byte that nobody wrote", tm_get_at(l, byte, 3 * i + 1), BYSTANDER, why,
                         why_size))
            return false;
    return probe_clean(w, why, why_size);
}

static void conformance_neighbours_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->lanes);
    probe_free(w);
}

TM_WORKLOAD(conformance_neighbours, .help = "bytes beside a small write stay as they are",
            .params = conformance_neighbours_params, .setup = conformance_neighbours_setup,
            .verify = conformance_neighbours_verify, .teardown = conformance_neighbours_teardown);
