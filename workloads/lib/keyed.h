/*
 * keyed.h - a transactional dictionary from 64-bit keys to 64-bit values on which blocks that use
 * different keys do not conflict, also where an engine detects conflicts by object.
 *
 * lib/table.h is laid out as the dictionaries of interpreters are, and a transactional memory that
 * knows objects (c7) sees three of them: whoever inserts conflicts with everybody, whoever writes a
 * value with all who read any.  PyPy's STM gives such programs a dictionary of its own whose
 * entries are objects; this is one, with the plainest structure that has the property:
 *
 *   - chained hashing; each bucket and each entry is an object, so that an update touches one
 *     entry and an insertion or removal one bucket (and the entries in its chain)
 *   - the number of entries is the sum of one counter for each thread, each an object; only
 *     insertions that find a chain longer than it should be add them up
 *   - the array of buckets is written when it grows only: inside the block of the insertion that
 *     needs it, and then everybody conflicts.
 *
 * The price: an object more on each way to a key, and a scan that follows references.
 *
 * Invariants: keys are distinct; each entry is in the chain of the bucket that its key hashes to;
 * the counters add up to the number of entries (one alone may be negative, modulo 2^64).
 *
 * All functions may be called inside of blocks, and outside of them in setup and verify.  `thread`
 * is tm_index of the caller.
 */
#ifndef ALLCORES_LIB_KEYED_H
#define ALLCORES_LIB_KEYED_H

#include "tm.h"

struct keyed_entry;
typedef TM_REF(struct keyed_entry) keyed_entry_ref;

struct keyed_entry {
    TM_HEADER;
    uint64_t key; /* constant after insertion */
    uint64_t value;
    keyed_entry_ref next;
};

struct keyed_bucket {
    TM_HEADER;
    keyed_entry_ref first;
};
typedef TM_REF(struct keyed_bucket) keyed_bucket_ref;

struct keyed_buckets {
    TM_HEADER;
    keyed_bucket_ref at[];
};
typedef TM_REF(struct keyed_buckets) keyed_buckets_ref;

/* So long that threads that count do not meet on a line. */
struct keyed_count {
    TM_HEADER;
    uint64_t entries; /* added minus removed by this thread */
    char padding[TM_APART - 16];
};
typedef TM_REF(struct keyed_count) keyed_count_ref;

struct keyed {
    TM_HEADER;
    uint64_t bits; /* 2^bits buckets */
    uint64_t threads;
    keyed_buckets_ref buckets;
    keyed_count_ref count[]; /* [threads] */
};
typedef TM_REF(struct keyed) keyed_ref;

enum {
    KEYED_BITS_MIN = 3,
    KEYED_BITS_MAX = 30,
    KEYED_CHAIN = 6 /* entries of one chain from which on an insertion looks at the load */
};

/* Multiplicative hashing (Knuth, TAOCP 3, 6.4). */
TM_FN static inline uint64_t keyed_hash(TM_SELF, uint64_t key, uint64_t bits) {
    return (key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits);
}

TM_FN static keyed_buckets_ref keyed_new_buckets(TM_SELF, uint64_t bits) {
    const keyed_buckets_ref buckets =
        tm_new_array(self, struct keyed_buckets, at, UINT64_C(1) << bits);
    for (uint64_t i = 0; i < UINT64_C(1) << bits; i++)
        tm_set_at(buckets, at, i, tm_new(self, struct keyed_bucket));
    return buckets;
}

/* An empty dictionary that does not grow before it has `size` entries, for this many threads.
 * Owned by the caller, see keyed_free. */
TM_FN static inline keyed_ref keyed_new(TM_SELF, uint64_t size, uint64_t threads) {
    const keyed_ref keyed = tm_new_array(self, struct keyed, count, threads);
    uint64_t bits = KEYED_BITS_MIN;
    while (bits < KEYED_BITS_MAX && UINT64_C(1) << bits < size)
        bits++;
    tm_set(keyed, bits, bits);
    tm_set(keyed, threads, threads);
    tm_set(keyed, buckets, keyed_new_buckets(self, bits));
    for (uint64_t t = 0; t < threads; t++)
        tm_set_at(keyed, count, t, tm_new(self, struct keyed_count));
    return keyed;
}

TM_FN static inline keyed_bucket_ref keyed_bucket_of(TM_SELF, keyed_ref keyed, uint64_t key) {
    const uint64_t bits = tm_get(keyed, bits);
    return tm_get_at(tm_get(keyed, buckets), at, keyed_hash(self, key, bits));
}

/* The number of entries.  Conflicts with every insertion and removal. */
TM_FN static inline uint64_t keyed_size(TM_SELF, keyed_ref keyed) {
    uint64_t size = 0;
    for (uint64_t t = 0; t < tm_get(keyed, threads); t++)
        size += tm_get(tm_get_at(keyed, count, t), entries);
    return size;
}

/* The entry of a key, or NULL. */
TM_FN static inline keyed_entry_ref keyed_find(TM_SELF, keyed_ref keyed, uint64_t key) {
    keyed_entry_ref entry = tm_get(keyed_bucket_of(self, keyed, key), first);
    while (entry != NULL && tm_get(entry, key) != key)
        entry = tm_get(entry, next);
    return entry;
}

TM_FN static inline void keyed_counted(TM_SELF, keyed_ref keyed, unsigned thread, uint64_t change) {
    const keyed_count_ref count = tm_get_at(keyed, count, thread);
    tm_set(count, entries, tm_get(count, entries) + change);
}

/* Twice as many buckets. */
TM_FN static TM_NOINLINE void keyed_grow(TM_SELF, keyed_ref keyed) {
    const uint64_t bits = tm_get(keyed, bits);
    const keyed_buckets_ref old = tm_get(keyed, buckets);
    const keyed_buckets_ref buckets = keyed_new_buckets(self, bits + 1);
    for (uint64_t i = 0; i < UINT64_C(1) << bits; i++) {
        const keyed_bucket_ref bucket = tm_get_at(old, at, i);
        for (keyed_entry_ref entry = tm_get(bucket, first), next = NULL; entry != NULL;
             entry = next) {
            const keyed_bucket_ref to =
                tm_get_at(buckets, at, keyed_hash(self, tm_get(entry, key), bits + 1));
            next = tm_get(entry, next);
            tm_set(entry, next, tm_get(to, first));
            tm_set(to, first, entry);
        }
        tm_free(self, bucket);
    }
    tm_free(self, old);
    tm_set(keyed, bits, bits + 1);
    tm_set(keyed, buckets, buckets);
}

/* False when the key was there already. */
TM_FN static inline bool keyed_insert(TM_SELF, keyed_ref keyed, uint64_t key, uint64_t value,
                                      unsigned thread) {
    keyed_bucket_ref bucket = keyed_bucket_of(self, keyed, key);
    uint64_t chain = 0;
    for (keyed_entry_ref e = tm_get(bucket, first); e != NULL; e = tm_get(e, next), chain++)
        if (tm_get(e, key) == key)
            return false;
    const uint64_t bits = tm_get(keyed, bits);
    if (chain >= KEYED_CHAIN && bits < KEYED_BITS_MAX &&
        keyed_size(self, keyed) >= UINT64_C(1) << bits) {
        keyed_grow(self, keyed);
        bucket = keyed_bucket_of(self, keyed, key);
    }
    const keyed_entry_ref entry = tm_new(self, struct keyed_entry);
    tm_set(entry, key, key);
    tm_set(entry, value, value);
    tm_set(entry, next, tm_get(bucket, first));
    tm_set(bucket, first, entry);
    keyed_counted(self, keyed, thread, 1);
    return true;
}

/* False when the key was not there; otherwise its value goes to *value. */
TM_FN static inline bool keyed_remove(TM_SELF, keyed_ref keyed, uint64_t key, unsigned thread,
                                      uint64_t *value) {
    const keyed_bucket_ref bucket = keyed_bucket_of(self, keyed, key);
    keyed_entry_ref before = NULL, entry = tm_get(bucket, first);
    while (entry != NULL && tm_get(entry, key) != key) {
        before = entry;
        entry = tm_get(entry, next);
    }
    if (entry == NULL)
        return false;
    if (before == NULL)
        tm_set(bucket, first, tm_get(entry, next));
    else
        tm_set(before, next, tm_get(entry, next));
    *value = tm_get(entry, value);
    tm_free(self, entry);
    keyed_counted(self, keyed, thread, UINT64_MAX);
    return true;
}

TM_FN static inline void keyed_free(TM_SELF, keyed_ref keyed) {
    const keyed_buckets_ref buckets = tm_get(keyed, buckets);
    for (uint64_t i = 0; i < UINT64_C(1) << tm_get(keyed, bits); i++) {
        const keyed_bucket_ref bucket = tm_get_at(buckets, at, i);
        for (keyed_entry_ref entry = tm_get(bucket, first), next = NULL; entry != NULL;
             entry = next) {
            next = tm_get(entry, next);
            tm_free(self, entry);
        }
        tm_free(self, bucket);
    }
    for (uint64_t t = 0; t < tm_get(keyed, threads); t++)
        tm_free(self, tm_get_at(keyed, count, t));
    tm_free(self, buckets);
    tm_free(self, keyed);
}

#endif
