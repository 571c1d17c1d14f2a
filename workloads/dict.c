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
 * conflicts=table is the dictionary of an interpreter, written plainly (lib/table.h): where an
 * engine knows objects, everybody conflicts on it.  conflicts=key is one whose entries are objects
 * (lib/keyed.h), so that blocks with different keys do not conflict, at the price of a slower scan.
 *
 * Invariants: those of the table (lib/table.h, lib/keyed.h), each key is found where it stands,
 * number of keys and sums of keys and values are as the operations left them.  Where values only
 * grow and work=0, no thread may see the dictionary's sum go back between two of its scans.
 */
#include "tm.h"

#include "lib/keyed.h"
#include "lib/plain.h"
#include "lib/table.h"

#include <inttypes.h>

enum { SIZE, WORK, UPDATES, LOOKUPS, INSERTS, REMOVALS, CONFLICTS };
enum { BY_TABLE, BY_KEY };

static const struct tm_param dict_params[] = {
    {"size", "entries at the start", TM_INT, "10000", 1, 1 << 24, NULL},
    {"work", "arithmetic steps on each item of a scan", TM_INT, "0", 0, 1000000, NULL},
    {"updates", "percentage of operations that add to one value", TM_REAL, "10", 0, 100, NULL},
    {"lookups", "percentage that look one key up", TM_REAL, "0", 0, 100, NULL},
    {"inserts", "percentage that insert one key", TM_REAL, "0", 0, 100, NULL},
    {"removals", "percentage that remove one key", TM_REAL, "0", 0, 100, NULL},
    {"conflicts", "what blocks conflict on: the table and its arrays, or single keys", TM_CHOICE,
     "table", .choices = "table|key"},
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
} __attribute__((aligned(TM_APART)));

/* Constant after setup, but for what the reference leads to. */
struct world {
    table_ref table; /* conflicts=table, otherwise NULL */
    keyed_ref keyed; /* conflicts=key, otherwise NULL */
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
    struct dict_stats *stats = machine_alloc_aligned(setup->threads * sizeof *stats, TM_APART);
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
    if (args[CONFLICTS].choice == BY_KEY)
        w->keyed = keyed_new(self, w->size, w->threads);
    else
        w->table = table_new(self);
    struct tm_rand rng = plain_rand(setup->seed, 0);
    for (uint64_t i = 0; i < w->size; i++) {
        const uint64_t key = dict_key(i), value = tm_random(&rng) >> 32;
        if (w->keyed != NULL)
            (void)keyed_insert(self, w->keyed, key, value, 0);
        else
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

/* The same on a dictionary with conflicts by key. */
TM_FN static inline uint64_t dict_scan_by_key(TM_SELF, keyed_ref keyed, uint64_t work) {
    const keyed_buckets_ref buckets = tm_get(keyed, buckets);
    const uint64_t count = UINT64_C(1) << tm_get(keyed, bits);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++)
        for (keyed_entry_ref entry = tm_get(tm_get_at(buckets, at, i), first); entry != NULL;
             entry = tm_get(entry, next)) {
            uint64_t x = tm_get(entry, key) + tm_get(entry, value);
            for (uint64_t step = 0; step < work; step++)
                x = x * UINT64_C(6364136223846793005) + 1;
            sum += x;
        }
    return sum;
}

/* `amount` is added to the value. */
TM_FN static inline struct dict_outcome dict_find_by_key(TM_SELF, keyed_ref keyed, uint64_t key,
                                                         uint64_t amount) {
    struct dict_outcome outcome = {false, 0};
    const keyed_entry_ref entry = keyed_find(self, keyed, key);
    if (entry != NULL) {
        outcome.done = true;
        outcome.value = tm_get(entry, value);
        if (amount != 0)
            tm_set(entry, value, outcome.value + amount);
    }
    return outcome;
}

/* An operation, drawn before its block. */
enum dict_kind { SCAN, UPDATE, LOOKUP, INSERT, REMOVE };
struct dict_operation {
    enum dict_kind kind;
    uint64_t key;
    uint64_t amount; /* UPDATE: to add; INSERT: the value */
};

static inline struct dict_operation dict_draw(const struct world *w, struct tm_rand *rng) {
    const uint64_t dice = tm_random(rng) >> 32;
    struct dict_operation op = {SCAN, 0, 0};
    if (dice >= w->removals)
        return op;
    op.kind = dice < w->updates   ? UPDATE
              : dice < w->lookups ? LOOKUP
              : dice < w->inserts ? INSERT
                                  : REMOVE;
    op.key = dict_key(tm_random_below(rng, op.kind == UPDATE ? w->size : 2 * w->size));
    if (op.kind == UPDATE)
        op.amount = 1 + (tm_random(rng) >> 48);
    else if (op.kind == INSERT)
        op.amount = tm_random(rng) >> 32;
    return op;
}

/* What a committed operation changes in the thread's records.  `outcome.value` of a scan is its
 * sum. */
static inline void dict_note(struct dict_stats *stats, const struct dict_operation *op,
                             struct dict_outcome outcome) {
    switch (op->kind) {
    case SCAN:
        stats->went_back += stats->scans > 0 && (int64_t)(outcome.value - stats->scan_sum) < 0;
        stats->scans++;
        stats->scan_sum = outcome.value;
        break;
    case UPDATE:
        stats->value_sum += outcome.done ? op->amount : 0;
        break;
    case LOOKUP:
        stats->sink += outcome.value;
        break;
    case INSERT:
        stats->keys += outcome.done;
        stats->key_sum += outcome.done ? op->key : 0;
        stats->value_sum += outcome.done ? op->amount : 0;
        break;
    default:
        stats->keys -= outcome.done;
        stats->key_sum -= outcome.done ? op->key : 0;
        stats->value_sum -= outcome.value;
    }
}

/* Out of line, so that it leaves no trace in the code of conflicts=table. */
static TM_NOINLINE struct dict_outcome dict_run_by_key(TM_SELF, const struct world *w,
                                                       const struct dict_operation *op) {
    const keyed_ref keyed = w->keyed;
    const unsigned thread = tm_index(self);
    const uint64_t key = op->key, amount = op->amount, work = w->work;
    struct dict_outcome outcome;
    if (op->kind == SCAN) {
        atomic (self) {
            outcome = (struct dict_outcome){true, dict_scan_by_key(self, keyed, work)};
        }
    } else if (op->kind == INSERT) {
        atomic (self) {
            outcome = (struct dict_outcome){keyed_insert(self, keyed, key, amount, thread), 0};
        }
    } else if (op->kind == REMOVE) {
        atomic (self) {
            uint64_t value = 0;
            const bool done = keyed_remove(self, keyed, key, thread, &value);
            outcome = (struct dict_outcome){done, value};
        }
    } else {
        atomic (self) {
            outcome = dict_find_by_key(self, keyed, key, amount);
        }
    }
    return outcome;
}

static inline void dict_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct dict_stats *stats = &w->stats[tm_index(self)];
    const table_ref table = w->table;
    const struct dict_operation op = dict_draw(w, rng);
    const uint64_t key = op.key, amount = op.amount, work = w->work;
    struct dict_outcome outcome;
    stats->ops++;
    if (table == NULL) {
        outcome = dict_run_by_key(self, w, &op);
    } else if (op.kind == SCAN) {
        uint64_t sum;
        atomic (self) {
            sum = dict_scan(self, table, work);
        }
        outcome = (struct dict_outcome){true, sum};
    } else if (op.kind == UPDATE) {
        atomic (self) {
            outcome = dict_update(self, table, key, amount);
        }
    } else if (op.kind == LOOKUP) {
        atomic (self) {
            outcome = dict_lookup(self, table, key);
        }
    } else if (op.kind == INSERT) {
        atomic (self) {
            outcome = dict_insert(self, table, key, amount);
        }
    } else {
        atomic (self) {
            outcome = dict_remove(self, table, key);
        }
    }
    dict_note(stats, &op, outcome);
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

/* What is there, and what the operations leave. */
struct dict_content {
    uint64_t entries, key_sum, value_sum;
};

static bool dict_verify_content(const struct world *w, const struct dict_content *found, char *why,
                                size_t why_size) {
    struct dict_content expected = {w->size, w->key_sum, w->value_sum};
    for (unsigned t = 0; t < w->threads; t++) {
        expected.entries += w->stats[t].keys;
        expected.key_sum += w->stats[t].key_sum;
        expected.value_sum += w->stats[t].value_sum;
    }
    if (found->entries == expected.entries && found->key_sum == expected.key_sum &&
        found->value_sum == expected.value_sum)
        return true;
    snprintf(why, why_size,
             "%" PRIu64 " entries, sums %#" PRIx64 " and %#" PRIx64
             "; the operations leave %" PRIu64 ", %#" PRIx64 " and %#" PRIx64,
             found->entries, found->key_sum, found->value_sum, expected.entries, expected.key_sum,
             expected.value_sum);
    return false;
}

/* The entries: each key is found where it stands; their number and sums are as expected. */
static bool dict_verify_entries(TM_SELF, const struct world *w, char *why, size_t why_size) {
    const table_words_ref keys = tm_get(w->table, keys);
    const table_words_ref values = tm_get(w->table, values);
    struct dict_content found = {.entries = tm_get(w->table, used)};
    for (uint64_t i = 0; i < found.entries; i++) {
        const uint64_t key = tm_get_at(keys, word, i);
        found.key_sum += key;
        found.value_sum += tm_get_at(values, word, i);
        if (table_find(self, w->table, key) != i) {
            snprintf(why, why_size, "entry %" PRIu64 ": its key is found elsewhere or not at all",
                     i);
            return false;
        }
    }
    return dict_verify_content(w, &found, why, why_size);
}

/* The chains: each key is in that of its bucket, once (the first of two would be found); number and
 * sums are as expected, and the threads' counters say the same number. */
static bool dict_verify_keyed(TM_SELF, const struct world *w, char *why, size_t why_size) {
    const keyed_ref keyed = w->keyed;
    const keyed_buckets_ref buckets = tm_get(keyed, buckets);
    const uint64_t bits = tm_get(keyed, bits), size = keyed_size(self, keyed);
    if (bits < KEYED_BITS_MIN || bits > KEYED_BITS_MAX) {
        snprintf(why, why_size, "2^%" PRIu64 " buckets", bits);
        return false;
    }
    struct dict_content found = {0, 0, 0};
    for (uint64_t i = 0; i < UINT64_C(1) << bits; i++)
        for (keyed_entry_ref e = tm_get(tm_get_at(buckets, at, i), first); e != NULL;
             e = tm_get(e, next)) {
            const uint64_t key = tm_get(e, key);
            found.entries++;
            found.key_sum += key;
            found.value_sum += tm_get(e, value);
            if (keyed_find(self, keyed, key) != e || found.entries > size) {
                snprintf(why, why_size,
                         "bucket %" PRIu64 ": entry %" PRIu64 " of %" PRIu64
                         " is not the one that its key leads to, or one too many",
                         i, found.entries, size);
                return false;
            }
        }
    if (found.entries == size)
        return dict_verify_content(w, &found, why, why_size);
    snprintf(why, why_size, "%" PRIu64 " entries, the threads have counted %" PRIu64, found.entries,
             size);
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
    if (w->keyed != NULL)
        return dict_verify_keyed(self, w, why, why_size);
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
    if (w->keyed != NULL)
        keyed_free(self, w->keyed);
    else
        table_free(self, w->table);
    machine_free(w->stats);
    machine_free(w);
}

TM_WORKLOAD(dict, .help = "scan all items of a dictionary, and change it now and then",
            .params = dict_params, .setup = dict_setup, .verify = dict_verify,
            .teardown = dict_teardown);
