/*
 * queue.h - a transactional first-in-first-out queue, and a heap of timers over the same items.
 *
 * Both are intrusive: the file that includes this one says what an item is,
 *
 *     struct event { TM_HEADER; TM_REF(struct event) next; uint64_t due; ... };
 *     #define QUEUE_ITEM struct event
 *     #include "lib/queue.h"
 *
 * where `next` belongs to the queue that the item is in, and `due` orders the heap.  An item is in
 * at most one queue or heap at a time, and neither allocates: the cost of an operation is that of
 * its barriers.  All functions run inside of blocks (or in setup and verify), on any number of
 * threads; two blocks that change the same queue conflict, as they must.
 */
#ifndef ALLCORES_QUEUE_H
#define ALLCORES_QUEUE_H

#include "tm.h"

#ifndef QUEUE_ITEM
#error "define QUEUE_ITEM, the type of the items, before including lib/queue.h"
#endif

typedef TM_REF(QUEUE_ITEM) queue_item_ref;

/* ---- first in, first out ------------------------------------------------------------------- */

/* Invariant: head == NULL if and only if the queue is empty; tail is meaningless then.  So long
 * that the queues of two threads do not meet on a line. */
struct queue {
    TM_HEADER;
    queue_item_ref head, tail;
    char padding[TM_APART - 16];
};
typedef TM_REF(struct queue) queue_ref;

/* Appends an item that is in no queue. */
TM_FN static inline void queue_push(TM_SELF, queue_ref q, queue_item_ref item) {
    tm_set(item, next, NULL);
    if (tm_get(q, head) == NULL)
        tm_set(q, head, item);
    else
        tm_set(tm_get(q, tail), next, item);
    tm_set(q, tail, item);
}

/* Takes the oldest item; NULL, and nothing written, when there is none. */
TM_FN static inline queue_item_ref queue_pop(TM_SELF, queue_ref q) {
    const queue_item_ref item = tm_get(q, head);
    if (item != NULL)
        tm_set(q, head, tm_get(item, next));
    return item;
}

/* ---- merging at commit ---------------------------------------------------------------------- */

/*
 * A block that pushes to a shared queue touches its head and tail, and conflicts with every other
 * one that does, for as long as it runs from there on.  The remedy of PyPy's STM is a queue whose
 * pushes are merged when the block commits.  No engine here runs code at commit, so it takes two
 * steps: the block collects what it pushes in a batch of its thread's own, and a short block right
 * behind it appends the batch as one splice.
 *
 * What that changes: others find the items an instant later than the block's other effects.  What
 * it keeps: the items of one block stand together and in order, those of one thread in the order of
 * its blocks, and a block that is executed again has collected nothing before.
 */
struct queue_batch {
    TM_HEADER;
    queue_item_ref first, last; /* first == NULL: empty */
    char padding[TM_APART - 16];
};
typedef TM_REF(struct queue_batch) queue_batch_ref;

/* In the block: like queue_push, to the batch of the calling thread. */
TM_FN static inline void queue_collect(TM_SELF, queue_batch_ref batch, queue_item_ref item) {
    tm_set(item, next, NULL);
    if (tm_get(batch, first) == NULL)
        tm_set(batch, first, item);
    else
        tm_set(tm_get(batch, last), next, item);
    tm_set(batch, last, item);
}

/* In a block of its own, right behind: appends what has been collected. */
TM_FN static inline void queue_merge(TM_SELF, queue_ref q, queue_batch_ref batch) {
    const queue_item_ref first = tm_get(batch, first);
    if (first == NULL)
        return;
    if (tm_get(q, head) == NULL)
        tm_set(q, head, first);
    else
        tm_set(tm_get(q, tail), next, first);
    tm_set(q, tail, tm_get(batch, last));
    tm_set(batch, first, NULL);
}

/* ---- timers -------------------------------------------------------------------------------- */

/* A binary heap (Williams 1964) with a clock of its own: at[i] is due no later than at[2i+1] and
 * at[2i+2].  Time is logical: `now` counts what its owner has done, and leaps to the next timer
 * when there is nothing else to do. */
struct timers {
    TM_HEADER;
    char padding[TM_APART - 16];
    uint64_t now;
    uint64_t size;
    queue_item_ref at[];
};
typedef TM_REF(struct timers) timers_ref;

enum { TIMERS_SPARE = 16 }; /* unused elements that keep two heaps on different lines */

/* An empty heap with room for `capacity` items; it does not grow. */
TM_FN static inline timers_ref timers_new(TM_SELF, uint64_t capacity) {
    return tm_new_array(self, struct timers, at, capacity + TIMERS_SPARE);
}

/* Adds an item that is in no queue or heap; it is due `delay` from now.  The caller sees to it that
 * there are never more items than the heap has room for. */
TM_FN static inline void timers_add(TM_SELF, timers_ref t, queue_item_ref item, uint64_t delay) {
    const uint64_t due = tm_get(t, now) + delay;
    uint64_t hole = tm_get(t, size);
    tm_set(item, due, due);
    tm_set(t, size, hole + 1);
    while (hole > 0) {
        const uint64_t parent = (hole - 1) / 2;
        const queue_item_ref above = tm_get_at(t, at, parent);
        if (tm_get(above, due) <= due)
            break;
        tm_set_at(t, at, hole, above);
        hole = parent;
    }
    tm_set_at(t, at, hole, item);
}

/* Takes the item that is due first if it is due now, or, with `leap`, in any case: then the clock
 * moves on to it.  NULL, and nothing written, when there is none. */
TM_FN static inline queue_item_ref timers_take(TM_SELF, timers_ref t, bool leap) {
    uint64_t size = tm_get(t, size);
    if (size == 0)
        return NULL;
    const queue_item_ref first = tm_get_at(t, at, 0);
    const uint64_t due = tm_get(first, due);
    if (due > tm_get(t, now)) {
        if (!leap)
            return NULL;
        tm_set(t, now, due);
    }
    tm_set(t, size, --size);
    if (size == 0)
        return first;
    const queue_item_ref last = tm_get_at(t, at, size);
    const uint64_t last_due = tm_get(last, due);
    uint64_t hole = 0;
    for (uint64_t child = 1; child < size; child = 2 * hole + 1) {
        queue_item_ref below = tm_get_at(t, at, child);
        if (child + 1 < size) {
            const queue_item_ref right = tm_get_at(t, at, child + 1);
            if (tm_get(right, due) < tm_get(below, due)) {
                below = right;
                child++;
            }
        }
        if (last_due <= tm_get(below, due))
            break;
        tm_set_at(t, at, hole, below);
        hole = child;
    }
    tm_set_at(t, at, hole, last);
    return first;
}

/* The owner has done something: one tick. */
TM_FN static inline void timers_tick(TM_SELF, timers_ref t) { tm_set(t, now, tm_get(t, now) + 1); }

#endif
