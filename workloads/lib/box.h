/*
 * box.h - boxed values of an interpreter, counted, and the free lists they come from.
 *
 * A box holds one value and its kind.  It belongs to one thread, whose frames and objects refer to
 * it and count: the last reference gives it back.  Boxes with BOX_IMMORTAL references are shared by
 * all threads and never counted nor given back (PEP 683, "Immortal Objects", does the same for the
 * same reason: a count in a shared object is written by whoever looks at it).
 *
 * Where new boxes come from is the caller's choice.  One list for all threads is what CRuby had:
 * every allocation and every release writes its head, so any two blocks conflict.  A list for each
 * thread is the cure (Odaira, Castanos, Tomari, "Eliminating global interpreter locks in Ruby
 * through hardware transactional memory", PPoPP 2014).  Without a list, the engine's own allocator
 * is asked each time.
 *
 * Invariants: each box is free and on one list once, or has as many references as there are places
 * that hold it.  `made` is the number of boxes that were made through a list and not given back to
 * the engine; `length` of them are free and on it.  Boxes go back to the list that they came from.
 *
 * All functions may be called inside of blocks, and outside of them in setup and verify.
 */
#ifndef ALLCORES_LIB_BOX_H
#define ALLCORES_LIB_BOX_H

#include "tm.h"

enum box_kind { BOX_FREE, BOX_NONE, BOX_INT, BOX_FLOAT, BOX_STRING, BOX_OBJECT, BOX_KINDS };

#define BOX_IMMORTAL UINT32_MAX

struct box {
    TM_HEADER;
    uint32_t kind; /* enum box_kind */
    uint32_t references;
    uint64_t value; /* by kind: a number, a double's bits, the number of a string or object */
    TM_REF(struct box) next; /* on a free list */
};
typedef TM_REF(struct box) box_ref;

struct box_list {
    TM_HEADER;
    box_ref first;
    uint64_t length;
    uint64_t made;
    char padding[TM_APART]; /* lists of two threads are on different lines */
};
typedef TM_REF(struct box_list) box_list_ref;

enum {
    BOX_BATCH = 32,     /* made at a time by an empty list */
    BOX_LIST_MAX = 1024 /* a longer list gives back to the engine */
};

/* More free boxes, for an empty list or in setup. */
TM_FN static TM_NOINLINE void box_refill(TM_SELF, box_list_ref list) {
    box_ref first = tm_get(list, first);
    for (unsigned i = 0; i < BOX_BATCH; i++) {
        const box_ref box = tm_new(self, struct box);
        tm_set(box, next, first);
        first = box;
    }
    tm_set(list, first, first);
    tm_set(list, length, tm_get(list, length) + BOX_BATCH);
    tm_set(list, made, tm_get(list, made) + BOX_BATCH);
}

/* A box with one reference, the caller's.  `pooled`: from the list, otherwise from the engine. */
TM_FN static inline box_ref box_new(TM_SELF, box_list_ref list, bool pooled, uint32_t kind,
                                    uint64_t value) {
    box_ref box;
    if (pooled) {
        if (tm_get(list, first) == NULL)
            box_refill(self, list);
        box = tm_get(list, first);
        tm_set(list, first, tm_get(box, next));
        tm_set(list, length, tm_get(list, length) - 1);
        tm_set(box, next, NULL);
    } else {
        box = tm_new(self, struct box);
        tm_set(list, made, tm_get(list, made) + 1);
    }
    tm_set(box, kind, kind);
    tm_set(box, references, 1);
    tm_set(box, value, value);
    return box;
}

TM_FN static inline void box_keep(TM_SELF, box_ref box) {
    const uint32_t references = tm_get(box, references);
    if (references != BOX_IMMORTAL)
        tm_set(box, references, references + 1);
}

TM_FN static inline void box_release(TM_SELF, box_list_ref list, bool pooled, box_ref box) {
    const uint32_t references = tm_get(box, references);
    if (references == BOX_IMMORTAL)
        return;
    if (references != 1) {
        tm_set(box, references, references - 1);
    } else if (pooled && tm_get(list, length) < BOX_LIST_MAX) {
        tm_set(box, kind, BOX_FREE);
        tm_set(box, references, 0);
        tm_set(box, next, tm_get(list, first));
        tm_set(list, first, box);
        tm_set(list, length, tm_get(list, length) + 1);
    } else {
        tm_free(self, box);
        tm_set(list, made, tm_get(list, made) - 1);
    }
}

/* The boxes of a list, and the list; those that are not on it must have been released before. */
TM_FN static inline void box_list_free(TM_SELF, box_list_ref list) {
    for (box_ref box = tm_get(list, first), next = NULL; box != NULL; box = next) {
        next = tm_get(box, next);
        tm_free(self, box);
    }
    tm_free(self, list);
}

#endif
