/*
 * free_while_read - nodes are freed while others walk over them.
 *
 * A sorted list; writers insert and remove keys.  A removed node is freed in the removing block, or
 * poisoned in that block and freed, or detached, poisoned by plain stores and freed in a later
 * block.  A reader must never act upon poison or upon the zeros of reused memory, also not in an
 * execution that will be thrown away; under a sanitizer a node given back too early is a report.
 */
#include "probe.h"

enum { KEYS = 48, STEPS_MAX = 10000 };
#define MAGIC UINT64_C(0x600d600d600d600d)
#define POISON UINT64_C(0xdeadbeefdeadbeef)

static const struct tm_param conformance_free_while_read_params[] = {PROBE_OPS("3000"), PROBE_END};

struct node {
    TM_HEADER;
    uint64_t magic;
    uint64_t key;
    uint64_t check; /* ~key */
    TM_REF(struct node) next;
};
typedef TM_REF(struct node) node_ref;

struct world {
    struct probe probe;
    node_ref head; /* of key 0, never removed; constant after setup */
};

static void *conformance_free_while_read_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                               size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->head = tm_new(self, struct node);
    tm_set(w->head, magic, MAGIC);
    tm_set(w->head, check, ~UINT64_C(0));
    return w;
}

/* Last node whose key is smaller than `key`; notes what should never be seen on the way. */
TM_FN static node_ref find_before(TM_SELF, node_ref head, uint64_t key, struct slot *slot) {
    node_ref before = head;
    for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
        const node_ref node = tm_get(before, next);
        if (node == NULL)
            return before;
        const uint64_t magic = tm_get(node, magic), found = tm_get(node, key);
        EXPECT(slot, "a freed node was read", magic, MAGIC);
        EXPECT(slot, "a node is torn", tm_get(node, check), ~found);
        if (magic != MAGIC || found >= key)
            return before;
        before = node;
    }
    slot_note(slot, "a list without end was walked", STEPS_MAX, KEYS);
    return before;
}

static void insert(TM_SELF, struct world *w, struct slot *slot, uint64_t key) {
    bool inserted = false;
    atomic (self) {
        const node_ref before = find_before(self, w->head, key, slot);
        const node_ref next = tm_get(before, next);
        const bool absent = next == NULL || tm_get(next, key) != key;
        inserted = absent;
        if (absent) {
            const node_ref node = tm_new(self, struct node);
            tm_set(node, magic, MAGIC);
            tm_set(node, key, key);
            tm_set(node, check, ~key);
            tm_set(node, next, next);
            tm_set(before, next, node);
        }
    }
    slot->count[0] += inserted;
}

static void remove_key(TM_SELF, struct world *w, struct slot *slot, uint64_t key, unsigned how) {
    bool removed = false;
    node_ref detached = NULL;
    atomic (self) {
        const node_ref before = find_before(self, w->head, key, slot);
        const node_ref node = tm_get(before, next);
        const bool present = node != NULL && tm_get(node, key) == key;
        removed = present;
        detached = NULL;
        if (present) {
            tm_set(before, next, tm_get(node, next));
            if (how == 0) {
                tm_set(node, magic, POISON);
                tm_set(node, key, POISON);
            }
            if (how <= 1)
                tm_free(self, node);
            else
                detached = node;
        }
    }
    slot->count[1] += removed;
    if (detached == NULL)
        return;
    tm_plain_set(detached, magic, POISON);
    tm_plain_set(detached, key, POISON);
    tm_plain_set(detached, next, detached);
    atomic (self) {
        tm_free(self, detached);
    }
}

static inline void conformance_free_while_read_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const uint64_t key = 1 + tm_random_below(rng, KEYS);
    const uint64_t what = tm_random_below(rng, 6);
    if (what < 2) {
        insert(self, w, slot, key);
    } else if (what < 4) {
        remove_key(self, w, slot, key, (unsigned)tm_random_below(rng, 3));
    } else {
        atomic (self) {
            find_before(self, w->head, KEYS + 1, slot);
        }
    }
}

static bool conformance_free_while_read_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                               size_t why_size) {
    (void)ops;
    struct world *w = world;
    uint64_t nodes = 0, last = 0;
    for (node_ref n = tm_get(w->head, next); n != NULL && nodes <= KEYS; n = tm_get(n, next)) {
        if (tm_get(n, key) <= last || tm_get(n, magic) != MAGIC)
            return probe_equal("order of the list broken at key", tm_get(n, key), last + 1, why,
                               why_size);
        last = tm_get(n, key);
        nodes++;
    }
    return probe_clean(w, why, why_size) &&
           probe_equal("nodes", nodes, probe_sum(w, 0) - probe_sum(w, 1), why, why_size);
}

static void conformance_free_while_read_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (node_ref n = w->head; n != NULL;) {
        const node_ref next = tm_get(n, next);
        tm_free(self, n);
        n = next;
    }
    probe_free(w);
}

TM_WORKLOAD(conformance_free_while_read, .help = "freed nodes are never read",
            .params = conformance_free_while_read_params,
            .setup = conformance_free_while_read_setup,
            .verify = conformance_free_while_read_verify,
            .teardown = conformance_free_while_read_teardown);
