/*
 * dict - loops over all items of a dictionary, and now and then an update: the program for which
 * interpreters keep their lock.
 *
 * An operation is, by percentage, an update of one value, a lookup, an insertion or a removal;
 * what remains are scans.  A scan reads every item in one block and computes `work` dependent
 * arithmetic steps on each.  A word-based STM pays for each of some 20,000 reads, and each
 * committed update invalidates every scan under way; with work=0 the plain loop is one that the
 * compiler vectorises, the hardest reference there is.
 *
 * Invariants: those of the table (lib/table.h), each key is found where it stands, number of keys
 * and sums of keys and values are as the operations left them.  Where values only grow and work=0,
 * no thread may see the dictionary's sum go back between two of its scans.
 */
#include "tm.h"

#include "lib/plain.h"
#include "lib/table.h"

#include <inttypes.h>

enum { SIZE, WORK, UPDATES, LOOKUPS, INSERTS, REMOVALS };

static const struct tm_param dict_params[] = {
    {"size", "entries at the start", TM_INT, "10000", 1, 1 << 24, NULL},
    {"work", "arithmetic steps on each item of a scan", TM_INT, "0", 0, 1000000, NULL},
    {"updates", "percentage of operations that add to one value", TM_REAL, "10", 0, 100, NULL},
    {"lookups", "percentage that look one key up", TM_REAL, "0", 0, 100, NULL},
    {"inserts", "percentage that insert one key", TM_REAL, "0", 0, 100, NULL},
    {"removals", "percentage that remove one key", TM_REAL, "0", 0, 100, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

/* Written by its own thread, outside of blocks; read by verify.  Sums may wrap. */
struct dict_stats {
    uint64_t ops;
    uint64_t keys;      /* inserted minus removed */
    uint64_t key_sum;   /* the same of the keys themselves */
    uint64_t value_sum; /* what the operations added to the values, in all */
    uint64_t sink;      /* what was looked up: the compiler must not drop it */
    uint64_t scans;
    uint64_t scan_sum;  /* of the last scan */
    uint64_t went_back; /* scans that saw less than the one before */
} __attribute__((aligned(PLAIN_LINE)));

/* Constant after setup, but for what the reference leads to. */
struct world {
    table_ref table;
    uint64_t size, work;
    plain_chance updates, lookups, inserts, removals; /* each includes those before it */
    bool grows;                                       /* scans can only see the sum grow */
    unsigned threads;
    uint64_t key_sum, value_sum; /* at the start */
    struct dict_stats *stats;    /* [threads] */
};

/* The key of a number: a bijection that looks random (finalizer of MurmurHash3, A. Appleby). */
static inline uint64_t dict_key(uint64_t number) {
    uint64_t k = number + 1;
    k = (k ^ (k >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    k = (k ^ (k >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return k ^ (k >> 33);
}

static void *dict_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    const union tm_value *args = setup->args;
    const double updates = args[UPDATES].r, lookups = updates + args[LOOKUPS].r;
    const double inserts = lookups + args[INSERTS].r, removals = inserts + args[REMOVALS].r;
    if (removals > 100) {
        snprintf(why, why_size, "updates, lookups, inserts and removals are %g %%: at most 100",
                 removals);
        return NULL;
    }
    struct world *w = machine_alloc_aligned(sizeof *w, TM_CACHE_LINE);
    struct dict_stats *stats = machine_alloc_aligned(setup->threads * sizeof *stats, PLAIN_LINE);
    if (w == NULL || stats == NULL) {
        snprintf(why, why_size, "out of memory");
        machine_free(stats);
        machine_free(w);
        return NULL;
    }
    w->stats = stats;
    w->threads = setup->threads;
    w->size = (uint64_t)args[SIZE].i;
    w->work = (uint64_t)args[WORK].i;
    w->updates = plain_chance_of(updates / 100);
    w->lookups = plain_chance_of(lookups / 100);
    w->inserts = plain_chance_of(inserts / 100);
    w->removals = plain_chance_of(removals / 100);
    w->grows = w->work == 0 && w->inserts == w->lookups && w->removals == w->inserts;
    w->table = table_new(self);
    struct tm_rand rng = plain_rand(setup->seed, 0);
    for (uint64_t i = 0; i < w->size; i++) {
        const uint64_t key = dict_key(i), value = tm_random(&rng) >> 32;
        table_add(self, w->table, key, value);
        w->key_sum += key;
        w->value_sum += value;
    }
    return w;
}

/* Items between two safe points: a fraction of a microsecond, and enough for a vectorised loop. */
enum { SCAN_STEP = 1024 };

/* What a scan computes of all items. */
TM_FN static inline uint64_t dict_scan(TM_SELF, table_ref table, uint64_t work) {
    const table_words_ref keys = tm_get(table, keys);
    const table_words_ref values = tm_get(table, values);
    const uint64_t used = tm_get(table, used);
    uint64_t sum = 0;
    if (work == 0) {
        for (uint64_t i = 0; i < used;) {
            const uint64_t end = used - i < SCAN_STEP ? used : i + SCAN_STEP;
            for (; i < end; i++)
                sum += tm_get_at(keys, word, i) + tm_get_at(values, word, i);
            tm_safepoint(self);
        }
    } else {
        for (uint64_t i = 0; i < used; i++) {
            uint64_t x = tm_get_at(keys, word, i) + tm_get_at(values, word, i);
            for (uint64_t step = 0; step < work; step++)
                x = x * UINT64_C(6364136223846793005) + 1;
            sum += x;
            tm_safepoint(self);
        }
    }
    return sum;
}

/* What became of an operation on one key. */
struct dict_outcome {
    bool done;      /* it changed the dictionary (a lookup: found its key) */
    uint64_t value; /* that was found or removed; 0 otherwise */
};

TM_FN static inline struct dict_outcome dict_update(TM_SELF, table_ref table, uint64_t key,
                                                    uint64_t amount) {
    struct dict_outcome outcome = {false, 0};
    const uint64_t entry = table_find(self, table, key);
    if (entry != TABLE_NONE) {
        outcome.done = true;
        outcome.value = table_value(self, table, entry);
        table_set_value(self, table, entry, outcome.value + amount);
    }
    return outcome;
}

TM_FN static inline struct dict_outcome dict_lookup(TM_SELF, table_ref table, uint64_t key) {
    struct dict_outcome outcome = {false, 0};
    const uint64_t entry = table_find(self, table, key);
    if (entry != TABLE_NONE) {
        outcome.done = true;
        outcome.value = table_value(self, table, entry);
    }
    return outcome;
}

TM_FN static inline struct dict_outcome dict_insert(TM_SELF, table_ref table, uint64_t key,
                                                    uint64_t value) {
    struct dict_outcome outcome = {false, 0};
    if (table_slot(self, table, key) == TABLE_NONE) {
        outcome.done = true;
        table_add(self, table, key, value);
    }
    return outcome;
}

TM_FN static inline struct dict_outcome dict_remove(TM_SELF, table_ref table, uint64_t key) {
    struct dict_outcome outcome = {false, 0};
    const uint64_t slot = table_slot(self, table, key);
    if (slot != TABLE_NONE) {
        const uint64_t entry = tm_get_at(tm_get(table, index), slot, slot) - TABLE_FIRST;
        outcome.done = true;
        outcome.value = table_value(self, table, entry);
        table_remove(self, table, slot);
    }
    return outcome;
}

static inline void dict_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct dict_stats *stats = &w->stats[tm_index(self)];
    const table_ref table = w->table;
    const uint64_t dice = tm_random(rng) >> 32;
    struct dict_outcome outcome;
    stats->ops++;
    if (dice >= w->removals) {
        const uint64_t work = w->work;
        uint64_t sum;
        atomic (self) {
            sum = dict_scan(self, table, work);
        }
        stats->went_back += stats->scans > 0 && (int64_t)(sum - stats->scan_sum) < 0;
        stats->scans++;
        stats->scan_sum = sum;
    } else if (dice < w->updates) {
        const uint64_t key = dict_key(tm_random_below(rng, w->size));
        const uint64_t amount = 1 + (tm_random(rng) >> 48);
        atomic (self) {
            outcome = dict_update(self, table, key, amount);
        }
        stats->value_sum += outcome.done ? amount : 0;
    } else if (dice < w->lookups) {
        const uint64_t key = dict_key(tm_random_below(rng, 2 * w->size));
        atomic (self) {
            outcome = dict_lookup(self, table, key);
        }
        stats->sink += outcome.value;
    } else if (dice < w->inserts) {
        const uint64_t key = dict_key(tm_random_below(rng, 2 * w->size));
        const uint64_t value = tm_random(rng) >> 32;
        atomic (self) {
            outcome = dict_insert(self, table, key, value);
        }
        stats->keys += outcome.done;
        stats->key_sum += outcome.done ? key : 0;
        stats->value_sum += outcome.done ? value : 0;
    } else {
        const uint64_t key = dict_key(tm_random_below(rng, 2 * w->size));
        atomic (self) {
            outcome = dict_remove(self, table, key);
        }
        stats->keys -= outcome.done;
        stats->key_sum -= outcome.done ? key : 0;
        stats->value_sum -= outcome.value;
    }
}

/* The index: slots that are not free are `filled`, and each entry's number stands in one of them.
 * `seen` has room for a byte per entry, all 0. */
static bool dict_verify_index(TM_SELF, table_ref table, uint8_t *seen, char *why, size_t why_size) {
    const table_index_ref index = tm_get(table, index);
    const uint64_t used = tm_get(table, used), bits = tm_get(table, bits);
    uint64_t filled = 0, entries = 0;
    for (uint64_t s = 0; s < UINT64_C(1) << bits; s++) {
        const uint32_t slot = tm_get_at(index, slot, s);
        filled += slot != TABLE_FREE;
        if (slot < TABLE_FIRST)
            continue;
        entries++;
        if (slot - TABLE_FIRST >= used || seen[slot - TABLE_FIRST]++ != 0) {
            snprintf(why, why_size,
                     "slot %" PRIu64 " names entry %u, which is named twice or not one of %" PRIu64,
                     s, slot - TABLE_FIRST, used);
            return false;
        }
    }
    if (entries == used && filled == tm_get(table, filled) && filled <= table_capacity(self, bits))
        return true;
    snprintf(why, why_size,
             "index: %" PRIu64 " of %" PRIu64 " entries, %" PRIu64
             " slots filled instead of %" PRIu64,
             entries, used, filled, tm_get(table, filled));
    return false;
}

/* The entries: each key is found where it stands; their number and sums are as expected. */
static bool dict_verify_entries(TM_SELF, const struct world *w, char *why, size_t why_size) {
    const table_words_ref keys = tm_get(w->table, keys);
    const table_words_ref values = tm_get(w->table, values);
    const uint64_t used = tm_get(w->table, used);
    uint64_t key_sum = 0, value_sum = 0;
    for (uint64_t i = 0; i < used; i++) {
        const uint64_t key = tm_get_at(keys, word, i);
        key_sum += key;
        value_sum += tm_get_at(values, word, i);
        if (table_find(self, w->table, key) != i) {
            snprintf(why, why_size, "entry %" PRIu64 ": its key is found elsewhere or not at all",
                     i);
            return false;
        }
    }
    uint64_t expected = w->size, expected_keys = w->key_sum, expected_values = w->value_sum;
    for (unsigned t = 0; t < w->threads; t++) {
        expected += w->stats[t].keys;
        expected_keys += w->stats[t].key_sum;
        expected_values += w->stats[t].value_sum;
    }
    if (used == expected && key_sum == expected_keys && value_sum == expected_values)
        return true;
    snprintf(why, why_size,
             "%" PRIu64 " entries, sums %#" PRIx64 " and %#" PRIx64
             "; the operations leave %" PRIu64 ", %#" PRIx64 " and %#" PRIx64,
             used, key_sum, value_sum, expected, expected_keys, expected_values);
    return false;
}

static bool dict_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    const struct world *w = world;
    uint64_t done = 0;
    for (unsigned t = 0; t < w->threads; t++) {
        done += w->stats[t].ops;
        if (w->grows && w->stats[t].went_back > 0) {
            snprintf(why, why_size,
                     "thread %u: %" PRIu64 " of %" PRIu64
                     " scans saw a smaller sum than the one before",
                     t, w->stats[t].went_back, w->stats[t].scans);
            return false;
        }
    }
    if (done != ops) {
        snprintf(why, why_size, "threads counted %" PRIu64 " operations, there were %" PRIu64, done,
                 ops);
        return false;
    }
    const uint64_t used = tm_get(w->table, used);
    if (used > table_capacity(self, tm_get(w->table, bits))) {
        snprintf(why, why_size, "%" PRIu64 " entries are more than fit", used);
        return false;
    }
    uint8_t *seen = machine_alloc_aligned(used + 1, 16);
    if (seen == NULL) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    const bool ok = dict_verify_index(self, w->table, seen, why, why_size) &&
                    dict_verify_entries(self, w, why, why_size);
    machine_free(seen);
    return ok;
}

static void dict_teardown(TM_SELF, void *world) {
    struct world *w = world;
    table_free(self, w->table);
    machine_free(w->stats);
    machine_free(w);
}

TM_WORKLOAD(dict, .help = "scan all items of a dictionary, and change it now and then",
            .params = dict_params, .setup = dict_setup, .verify = dict_verify,
            .teardown = dict_teardown);
