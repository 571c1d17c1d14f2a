/*
 * table.h - a transactional dictionary from 64-bit keys to 64-bit values, laid out as those of
 * today's interpreters: an open-addressing index (linear probing) of entry numbers, and the entries
 * themselves dense in two arrays, keys and values.  It grows and is rebuilt inside the block of the
 * insertion that needs it.
 *
 * A loop over all items reads keys[0 .. used) and values[0 .. used) and nothing else.  To keep that
 * so, a removal moves the last entry into the gap (PyPy and CPython keep the order of insertion and
 * leave a gap instead).
 *
 * Invariants: keys are distinct; each entry's number stands in exactly one slot of the index, and
 * from the slot its key hashes to up to that slot there is no free one; `filled` slots are not
 * free, at most two thirds of all.
 *
 * All functions may be called inside of blocks, and outside of them in setup and verify.
 */
#ifndef ALLCORES_LIB_TABLE_H
#define ALLCORES_LIB_TABLE_H

#include "tm.h"

enum {
    TABLE_FREE = 0,    /* values of a slot of the index: never used, */
    TABLE_DELETED = 1, /* its entry was removed, */
    TABLE_FIRST = 2,   /* or an entry's number plus this */
    TABLE_BITS_MIN = 3
};

/* What table_find says of an absent key. */
#define TABLE_NONE UINT64_MAX

struct table_index {
    TM_HEADER;
    uint32_t slot[];
};
typedef TM_REF(struct table_index) table_index_ref;

struct table_words {
    TM_HEADER;
    uint64_t word[];
};
typedef TM_REF(struct table_words) table_words_ref;

struct table {
    TM_HEADER;
    uint64_t used;   /* entries */
    uint64_t filled; /* slots that are not free */
    uint64_t bits;   /* 2^bits slots */
    table_index_ref index;
    table_words_ref keys, values; /* table_capacity(bits) words each */
};
typedef TM_REF(struct table) table_ref;

/* Entries that 2^bits slots take before a rebuild. */
TM_FN static inline uint64_t table_capacity(TM_SELF, uint64_t bits) {
    return (UINT64_C(2) << bits) / 3;
}

/* First slot of a key: multiplicative hashing (Knuth, TAOCP 3, 6.4). */
TM_FN static inline uint64_t table_hash(TM_SELF, uint64_t key, uint64_t bits) {
    return (key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits);
}

TM_FN static inline void table_allocate(TM_SELF, table_ref table, uint64_t bits) {
    const uint64_t capacity = table_capacity(self, bits);
    tm_set(table, bits, bits);
    tm_set(table, index, tm_new_array(self, struct table_index, slot, UINT64_C(1) << bits));
    tm_set(table, keys, tm_new_array(self, struct table_words, word, capacity));
    tm_set(table, values, tm_new_array(self, struct table_words, word, capacity));
}

/* An empty table, owned by the caller, see table_free. */
TM_FN static inline table_ref table_new(TM_SELF) {
    const table_ref table = tm_new(self, struct table);
    table_allocate(self, table, TABLE_BITS_MIN);
    return table;
}

TM_FN static inline void table_free(TM_SELF, table_ref table) {
    tm_free(self, tm_get(table, index));
    tm_free(self, tm_get(table, keys));
    tm_free(self, tm_get(table, values));
    tm_free(self, table);
}

/* The slot that holds `key`'s entry, or TABLE_NONE. */
TM_FN static inline uint64_t table_slot(TM_SELF, table_ref table, uint64_t key) {
    const table_index_ref index = tm_get(table, index);
    const table_words_ref keys = tm_get(table, keys);
    const uint64_t bits = tm_get(table, bits);
    const uint64_t mask = (UINT64_C(1) << bits) - 1;
    for (uint64_t s = table_hash(self, key, bits);; s = (s + 1) & mask) {
        const uint32_t entry = tm_get_at(index, slot, s);
        if (entry == TABLE_FREE)
            return TABLE_NONE;
        if (entry != TABLE_DELETED && tm_get_at(keys, word, entry - TABLE_FIRST) == key)
            return s;
    }
}

/* The number of `key`'s entry, or TABLE_NONE. */
TM_FN static inline uint64_t table_find(TM_SELF, table_ref table, uint64_t key) {
    const uint64_t slot = table_slot(self, table, key);
    return slot == TABLE_NONE ? TABLE_NONE
                              : tm_get_at(tm_get(table, index), slot, slot) - TABLE_FIRST;
}

/* Value of an entry that table_find has found. */
TM_FN static inline uint64_t table_value(TM_SELF, table_ref table, uint64_t entry) {
    return tm_get_at(tm_get(table, values), word, entry);
}
TM_FN static inline void table_set_value(TM_SELF, table_ref table, uint64_t entry, uint64_t value) {
    tm_set_at(tm_get(table, values), word, entry, value);
}

/* Makes room for one more entry: twice the slots when more than half of them hold entries,
 * otherwise the same number, without those of deleted ones. */
TM_FN static void table_rebuild(TM_SELF, table_ref table) {
    const table_index_ref old_index = tm_get(table, index);
    const table_words_ref old_keys = tm_get(table, keys);
    const table_words_ref old_values = tm_get(table, values);
    const uint64_t used = tm_get(table, used);
    uint64_t bits = tm_get(table, bits);
    bits += 2 * used > UINT64_C(1) << bits;
    table_allocate(self, table, bits);
    const table_index_ref index = tm_get(table, index);
    const table_words_ref keys = tm_get(table, keys);
    const table_words_ref values = tm_get(table, values);
    const uint64_t mask = (UINT64_C(1) << bits) - 1;
    for (uint64_t i = 0; i < used; i++) {
        const uint64_t key = tm_get_at(old_keys, word, i);
        tm_set_at(keys, word, i, key);
        tm_set_at(values, word, i, tm_get_at(old_values, word, i));
        uint64_t s = table_hash(self, key, bits);
        while (tm_get_at(index, slot, s) != TABLE_FREE)
            s = (s + 1) & mask;
        tm_set_at(index, slot, s, (uint32_t)i + TABLE_FIRST);
    }
    tm_set(table, filled, used);
    tm_free(self, old_index);
    tm_free(self, old_keys);
    tm_free(self, old_values);
}

/* Adds a key that is absent. */
TM_FN static void table_add(TM_SELF, table_ref table, uint64_t key, uint64_t value) {
    if (tm_get(table, filled) == table_capacity(self, tm_get(table, bits)))
        table_rebuild(self, table);
    const table_index_ref index = tm_get(table, index);
    const uint64_t bits = tm_get(table, bits);
    const uint64_t mask = (UINT64_C(1) << bits) - 1;
    const uint64_t used = tm_get(table, used);
    uint64_t s = table_hash(self, key, bits);
    uint32_t found;
    while ((found = tm_get_at(index, slot, s)) >= TABLE_FIRST)
        s = (s + 1) & mask;
    if (found == TABLE_FREE)
        tm_set(table, filled, tm_get(table, filled) + 1);
    tm_set_at(index, slot, s, (uint32_t)used + TABLE_FIRST);
    tm_set_at(tm_get(table, keys), word, used, key);
    tm_set_at(tm_get(table, values), word, used, value);
    tm_set(table, used, used + 1);
}

/* Removes what stands in a slot that table_slot has found. */
__attribute__((unused)) TM_FN static void table_remove(TM_SELF, table_ref table, uint64_t slot) {
    const table_index_ref index = tm_get(table, index);
    const table_words_ref keys = tm_get(table, keys);
    const table_words_ref values = tm_get(table, values);
    const uint32_t entry = tm_get_at(index, slot, slot);
    const uint64_t gap = entry - TABLE_FIRST;
    const uint64_t last = tm_get(table, used) - 1;
    if (gap != last) {
        const uint64_t moved = tm_get_at(keys, word, last);
        tm_set_at(index, slot, table_slot(self, table, moved), entry);
        tm_set_at(keys, word, gap, moved);
        tm_set_at(values, word, gap, tm_get_at(values, word, last));
    }
    tm_set_at(index, slot, slot, TABLE_DELETED);
    tm_set(table, used, last);
}

#endif
