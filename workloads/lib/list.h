/*
 * list.h - a transactional sorted singly linked list of distinct keys; also a bucket of a chained
 * hash set.
 *
 * The list begins with a node without a key, so that insertion and removal at the front are no
 * special case, and so that each list of many is an object of its own.  A block reads every node up
 * to the key: long read sets, the worst case for an STM without early release.
 *
 * All functions may be called inside of blocks, and outside of them in setup and verify.  Keys are
 * any uint64_t.
 */
#ifndef ALLCORES_LIB_LIST_H
#define ALLCORES_LIB_LIST_H

#include "tm.h"

struct list_node;
typedef TM_REF(struct list_node) list_ref;

struct list_node {
    TM_HEADER;
    uint64_t key; /* constant after insertion; unused in the first node */
    list_ref next;
};

enum { LIST_SAFEPOINT = 64 }; /* nodes between two safe points */

/* An empty list: its first node.  Owned by the caller, see list_free. */
TM_FN static inline list_ref list_new(TM_SELF) { return tm_new(self, struct list_node); }

/* The last node before `key`'s place. */
TM_FN static inline list_ref list_before(TM_SELF, list_ref list, uint64_t key) {
    list_ref before = list;
    list_ref node = tm_get(before, next);
    for (unsigned steps = 1; node != NULL && tm_get(node, key) < key; steps++) {
        before = node;
        node = tm_get(node, next);
        if (steps % LIST_SAFEPOINT == 0)
            tm_safepoint(self);
    }
    return before;
}

TM_FN static inline bool list_contains(TM_SELF, list_ref list, uint64_t key) {
    const list_ref node = tm_get(list_before(self, list, key), next);
    return node != NULL && tm_get(node, key) == key;
}

/* False when the key was there already. */
TM_FN static inline bool list_insert(TM_SELF, list_ref list, uint64_t key) {
    const list_ref before = list_before(self, list, key);
    const list_ref node = tm_get(before, next);
    if (node != NULL && tm_get(node, key) == key)
        return false;
    const list_ref inserted = tm_new(self, struct list_node);
    tm_set(inserted, key, key);
    tm_set(inserted, next, node);
    tm_set(before, next, inserted);
    return true;
}

/* False when the key was not there. */
TM_FN static inline bool list_remove(TM_SELF, list_ref list, uint64_t key) {
    const list_ref before = list_before(self, list, key);
    const list_ref node = tm_get(before, next);
    if (node == NULL || tm_get(node, key) != key)
        return false;
    tm_set(before, next, tm_get(node, next));
    tm_free(self, node);
    return true;
}

/* Frees the list with its first node. */
TM_FN static inline void list_free(TM_SELF, list_ref list) {
    list_ref node = list;
    while (node != NULL) {
        const list_ref next = tm_get(node, next);
        tm_free(self, node);
        node = next;
    }
}

#endif
