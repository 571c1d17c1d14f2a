/*
 * intset - a set of integers as list, tree or hash table: the three shapes that the literature on
 * transactional memory has compared ever since Herlihy's and Moir's first software systems.
 *
 * `list` reads half of its nodes per operation (long read sets, conflicts with whoever writes in
 * front), `tree` (red-black) a dozen nodes and now and then a rotation, `hash` (chained buckets)
 * two or three: short blocks that hardly ever conflict.  Half of the updates insert and half remove
 * random keys of the range, so the set stays about half full.
 *
 * Invariants: the structure's own, all keys within the range, and number and sum of the keys as the
 * successful insertions and removals say.
 */
#include "tm.h"

#include "lib/list.h"
#include "lib/plain.h"
#include "lib/tree.h"

#include <inttypes.h>

enum { KIND, RANGE, UPDATES, BUCKETS };
enum { LIST, TREE, HASH };

static const struct tm_param intset_params[] = {
    {"kind", "what the set is made of", TM_CHOICE, "hash", .choices = "list|tree|hash"},
    {"range", "keys are below it, 0: 512 for a list, 16384 otherwise", TM_INT, "0", 0, 1 << 24,
     NULL},
    {"updates", "percentage of insertions and removals, half of each", TM_REAL, "20", 0, 100, NULL},
    {"buckets", "of a hash set", TM_INT, "4096", 1, 1 << 24, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

enum { LIST_RANGE = 512, LIST_RANGE_MAX = 65536, OTHER_RANGE = 16384 };
enum { TREE_DEPTH_MAX = 128 };

/* Written by its own thread, outside of blocks; read by verify. */
struct intset_stats {
    uint64_t ops;
    uint64_t keys;    /* inserted minus removed, may wrap */
    uint64_t key_sum; /* the same of the keys themselves, may wrap */
    uint64_t hits;    /* lookups that found their key: the compiler must not drop them */
} __attribute__((aligned(TM_APART)));

/* Constant after setup, but for what the references lead to. */
struct world {
    unsigned kind;
    unsigned threads;
    uint64_t range;
    plain_chance inserts, updates; /* updates includes inserts */
    uint64_t buckets;              /* 1 for a list, 0 for a tree */
    list_ref *bucket;              /* [buckets] */
    tree_ref tree;                 /* NULL unless kind is TREE */
    uint64_t keys, key_sum;        /* at the start */
    struct intset_stats *stats;    /* [threads] */
};

static inline uint64_t intset_bucket(const struct world *w, uint64_t key) {
    return (((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) * w->buckets) >> 32;
}

static void intset_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (uint64_t i = 0; w->bucket != NULL && i < w->buckets; i++)
        list_free(self, w->bucket[i]);
    if (w->tree != NULL)
        tree_free(self, w->tree);
    machine_free(w->bucket);
    machine_free(w->stats);
    machine_free(w);
}

/* Every second key, in random order. */
static bool intset_fill(TM_SELF, struct world *w, uint64_t seed) {
    struct tm_rand rng = plain_rand(seed, 0);
    uint32_t *key = machine_alloc(w->range * sizeof *key);
    if (key == NULL)
        return false;
    for (uint64_t i = 0; i < w->range; i++)
        key[i] = (uint32_t)i;
    for (uint64_t i = 0; i < w->range / 2; i++) {
        const uint64_t other = i + tm_random_below(&rng, w->range - i);
        const uint32_t drawn = key[other];
        key[other] = key[i];
        if (w->kind == TREE)
            tree_insert(self, w->tree, drawn);
        else
            list_insert(self, w->bucket[intset_bucket(w, drawn)], drawn);
        w->keys++;
        w->key_sum += drawn;
    }
    machine_free(key);
    return true;
}

static void *intset_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    const union tm_value *args = setup->args;
    struct world *w = machine_alloc_aligned(sizeof *w, TM_CACHE_LINE);
    if (w == NULL)
        goto out_of_memory;
    w->kind = args[KIND].choice;
    w->range = (uint64_t)args[RANGE].i;
    if (w->range == 0)
        w->range = w->kind == LIST ? LIST_RANGE : OTHER_RANGE;
    if (w->kind == LIST && w->range > LIST_RANGE_MAX) {
        snprintf(why, why_size, "range=%" PRIu64 ": at most %d for kind=list", w->range,
                 LIST_RANGE_MAX);
        machine_free(w);
        return NULL;
    }
    w->inserts = plain_chance_of(args[UPDATES].r / 200);
    w->updates = plain_chance_of(args[UPDATES].r / 100);
    w->threads = setup->threads;
    w->stats = machine_alloc_aligned(w->threads * sizeof *w->stats, TM_APART);
    if (w->stats == NULL)
        goto out_of_memory;
    if (w->kind == TREE) {
        w->tree = tree_new(self);
    } else {
        w->buckets = w->kind == LIST ? 1 : (uint64_t)args[BUCKETS].i;
        w->bucket = machine_alloc(w->buckets * sizeof *w->bucket);
        if (w->bucket == NULL)
            goto out_of_memory;
        for (uint64_t i = 0; i < w->buckets; i++)
            w->bucket[i] = list_new(self);
    }
    if (!intset_fill(self, w, setup->seed))
        goto out_of_memory;
    return w;
out_of_memory:
    snprintf(why, why_size, "out of memory");
    if (w != NULL)
        intset_teardown(self, w);
    return NULL;
}

enum intset_operation { INTSET_INSERT, INTSET_REMOVE, INTSET_LOOKUP };

static inline void intset_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct intset_stats *stats = &w->stats[tm_index(self)];
    const uint64_t dice = tm_random(rng) >> 32;
    const uint64_t key = tm_random_below(rng, w->range);
    const enum intset_operation operation = dice < w->inserts   ? INTSET_INSERT
                                            : dice < w->updates ? INTSET_REMOVE
                                                                : INTSET_LOOKUP;
    bool done;
    if (w->kind == TREE) {
        const tree_ref tree = w->tree;
        atomic (self) {
            done = operation == INTSET_LOOKUP   ? tree_contains(self, tree, key)
                   : operation == INTSET_INSERT ? tree_insert(self, tree, key)
                                                : tree_remove(self, tree, key);
        }
    } else {
        const list_ref list = w->bucket[intset_bucket(w, key)];
        atomic (self) {
            done = operation == INTSET_LOOKUP   ? list_contains(self, list, key)
                   : operation == INTSET_INSERT ? list_insert(self, list, key)
                                                : list_remove(self, list, key);
        }
    }
    stats->ops++;
    if (operation == INTSET_LOOKUP) {
        stats->hits += done;
    } else if (done) {
        stats->keys += operation == INTSET_INSERT ? 1 : -UINT64_C(1);
        stats->key_sum += operation == INTSET_INSERT ? key : -key;
    }
}

/* What a walk over the structure adds up. */
struct intset_found {
    uint64_t keys, key_sum;
};

static bool intset_verify_list(TM_SELF, const struct world *w, uint64_t bucket,
                               struct intset_found *found, char *why, size_t why_size) {
    uint64_t above = 0; /* keys must be at least this */
    for (list_ref node = tm_get(w->bucket[bucket], next); node != NULL; node = tm_get(node, next)) {
        const uint64_t key = tm_get(node, key);
        if (key < above || key >= w->range || intset_bucket(w, key) != bucket) {
            snprintf(why, why_size,
                     "bucket %" PRIu64 ": key %" PRIu64 " is out of order, range or place", bucket,
                     key);
            return false;
        }
        above = key + 1;
        found->keys++;
        found->key_sum += key;
    }
    return true;
}

/* Checks the subtree whose keys must be in [low, high).  Returns its number of black nodes per
 * path, or -1 and `why`. */
static int intset_verify_tree(TM_SELF, tree_node_ref node, tree_node_ref parent, uint64_t low,
                              uint64_t high, unsigned depth, struct intset_found *found, char *why,
                              size_t why_size) {
    if (node == NULL)
        return 0;
    const uint64_t key = tm_get(node, key);
    const bool red = tree_is_red(self, node);
    const char *wrong = NULL;
    if (key < low || key >= high)
        wrong = "is out of order or range";
    else if (tm_get(node, parent) != parent)
        wrong = "does not know its parent";
    else if (red && (parent == NULL || tree_is_red(self, parent)))
        wrong = "is red under a red parent or as the root";
    else if (depth > TREE_DEPTH_MAX)
        wrong = "is too deep";
    if (wrong == NULL) {
        found->keys++;
        found->key_sum += key;
        const int left = intset_verify_tree(self, tm_get_at(node, child, 0), node, low, key,
                                            depth + 1, found, why, why_size);
        const int right = left < 0
                              ? -1
                              : intset_verify_tree(self, tm_get_at(node, child, 1), node, key + 1,
                                                   high, depth + 1, found, why, why_size);
        if (left < 0 || right < 0)
            return -1;
        if (left == right)
            return left + !red;
        wrong = "has paths with different numbers of black nodes";
    }
    snprintf(why, why_size, "tree: the node of key %" PRIu64 " %s", key, wrong);
    return -1;
}

static bool intset_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    const struct world *w = world;
    struct intset_found found = {0, 0};
    for (uint64_t i = 0; i < w->buckets; i++)
        if (!intset_verify_list(self, w, i, &found, why, why_size))
            return false;
    if (w->kind == TREE && intset_verify_tree(self, tm_get(w->tree, root), NULL, 0, w->range, 0,
                                              &found, why, why_size) < 0)
        return false;
    uint64_t done = 0, keys = w->keys, key_sum = w->key_sum;
    for (unsigned t = 0; t < w->threads; t++) {
        done += w->stats[t].ops;
        keys += w->stats[t].keys;
        key_sum += w->stats[t].key_sum;
    }
    if (found.keys != keys || found.key_sum != key_sum) {
        snprintf(why, why_size,
                 "the set holds %" PRIu64 " keys that add up to %" PRIu64
                 ", insertions and removals leave %" PRIu64 " and %" PRIu64,
                 found.keys, found.key_sum, keys, key_sum);
        return false;
    }
    if (done == ops)
        return true;
    snprintf(why, why_size, "threads counted %" PRIu64 " operations, there were %" PRIu64, done,
             ops);
    return false;
}

TM_WORKLOAD(intset, .help = "a set of integers as sorted list, red-black tree or hash table",
            .params = intset_params, .setup = intset_setup, .verify = intset_verify,
            .teardown = intset_teardown);
