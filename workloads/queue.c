/*
 * queue - producers that all push to one queue from blocks that have more to do.
 *
 * A closed system of items.  An operation is a short block that takes `items` items from the queue
 * (there are always so many), and a long one that computes `work` steps for each of them and pushes
 * it when that is done.  Written plainly (merge=0), a producer owns the queue's
 * tail from its first push to the end of its block, and all producers conflict although none of
 * them cares for the order between them.  With merge=1 the block collects its pushes and a short
 * block right behind appends them (lib/queue.h).
 *
 * Invariants: the items of a block stand in the queue together and in order, and each pop takes
 * whole blocks; each consumer sees the items of one producer in the order of their pushes.  At the
 * end each producer's items have all been popped, once, but for its latest ones, which stand in the
 * queue in order; what was computed of all of them adds up to what plain code computes, by other
 * means; no item is lost.
 */
#include "tm.h"

#include "lib/plain.h"

#include <inttypes.h>

struct item {
    TM_HEADER;
    TM_REF(struct item) next;
    uint64_t due;      /* of the timers in lib/queue.h, unused here */
    uint64_t producer; /* thread */
    uint64_t sequence; /* number among the producer's items, from 0 */
    uint64_t result;   /* what was computed of it */
};
typedef TM_REF(struct item) item_ref;

#define QUEUE_ITEM struct item
#include "lib/queue.h"

enum { MERGE, ITEMS, WORK };
enum { ITEMS_MAX = 64 };

static const struct tm_param queue_params[] = {
    [MERGE] = {"merge", "1: pushes are collected and appended behind the block; 0: pushed in it",
               TM_INT, "0", 0, 1, NULL},
    [ITEMS] = {"items", "a block takes, or pushes", TM_INT, "8", 1, ITEMS_MAX, NULL},
    [WORK] = {"work", "steps of arithmetic for each item (about 1.5 ns each)", TM_INT, "100", 0,
              100000000, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

/* What was seen when it could not be; the first of them is told. */
struct queue_failure {
    const char *what; /* NULL: none */
    uint64_t found, expected;
};

/* What a pop takes out of its block of one item. */
struct queue_popped {
    item_ref item;
    uint64_t producer, sequence, result;
};

/* One thread's; written by it, read by verify. */
struct queue_thread {
    queue_batch_ref batch;
    struct queue_popped popped[ITEMS_MAX]; /* by the last block that took some */
    uint64_t ops;
    uint64_t pushed;     /* items, and sequence number of the next */
    uint64_t popped_sum; /* of their results */
    uint64_t *expected;  /* [threads] lowest sequence number that may come from this producer */
    uint64_t *popped_of; /* [threads] items of this producer */
    struct queue_failure failure;
} __attribute__((aligned(TM_APART)));

/* Constant after setup, but for the threads' own. */
struct world {
    queue_ref queue;
    bool merge;
    uint64_t items, work;
    uint64_t total; /* items that exist */
    unsigned threads;
    struct queue_thread *thread; /* [threads] */
};

/* Knuth's MMIX generator, once for a step; each needs the one before. */
TM_PURE_FN static inline uint64_t queue_work(uint64_t x, uint64_t steps) {
    for (uint64_t i = 0; i < steps; i++)
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return x;
}

/* What an item's work starts from. */
TM_PURE_FN static inline uint64_t queue_input(uint64_t producer, uint64_t sequence) {
    return (producer << 48) + sequence;
}

/* Takes up to `most` items; returns how many. */
TM_FN static inline uint64_t queue_take(TM_SELF, queue_ref queue, struct queue_popped *popped,
                                        uint64_t most) {
    uint64_t n = 0;
    for (item_ref item = NULL; n < most && (item = queue_pop(self, queue)) != NULL; n++)
        popped[n] = (struct queue_popped){
            item,
            tm_get(item, producer),
            tm_get(item, sequence),
            tm_get(item, result),
        };
    return n;
}

/* What a block pushes: `n` items, numbered from `sequence` on. */
struct queue_plan {
    const struct queue_popped *popped;
    uint64_t n, producer, sequence, work;
};

TM_FN static inline void queue_produce(TM_SELF, const struct queue_plan *plan, queue_ref queue,
                                       queue_batch_ref batch) {
    for (uint64_t i = 0; i < plan->n; i++) {
        const item_ref item = plan->popped[i].item;
        const uint64_t sequence = plan->sequence + i;
        tm_set(item, producer, plan->producer);
        tm_set(item, sequence, sequence);
        tm_set(item, result, queue_work(queue_input(plan->producer, sequence), plan->work));
        if (batch != NULL)
            queue_collect(self, batch, item);
        else
            queue_push(self, queue, item);
    }
}

static void queue_expect(struct queue_failure *failure, const char *what, uint64_t found,
                         uint64_t expected) {
    if (found != expected && failure->what == NULL)
        *failure = (struct queue_failure){what, found, expected};
}

/* `count` items that stand behind one another are whole blocks. */
static void queue_expect_blocks(struct queue_failure *failure, const struct queue_popped *p,
                                uint64_t count, uint64_t items) {
    for (uint64_t i = 0; i < count; i++) {
        queue_expect(failure, "place in its block of an item, or a block cut off",
                     p[i].sequence % items, i % items);
        if (i % items == 0)
            continue;
        queue_expect(failure, "producer of an item inside of a block", p[i].producer,
                     p[i - 1].producer);
        queue_expect(failure, "sequence number inside of a block", p[i].sequence,
                     p[i - 1].sequence + 1);
    }
}

/* Looks at what a committed block has popped. */
static inline void queue_consume(struct queue_thread *t, const struct queue_popped *popped,
                                 uint64_t n, const struct world *w) {
    queue_expect(&t->failure, "items in a pop", n, w->items);
    queue_expect_blocks(&t->failure, popped, n, w->items);
    for (uint64_t i = 0; i < n; i++) {
        const struct queue_popped *p = &popped[i];
        if (p->producer >= w->threads) {
            queue_expect(&t->failure, "producer of an item", p->producer, w->threads - 1);
            continue;
        }
        if (p->sequence < t->expected[p->producer])
            queue_expect(&t->failure, "sequence number that came again, or late", p->sequence,
                         t->expected[p->producer]);
        t->expected[p->producer] = p->sequence + 1;
        t->popped_of[p->producer]++;
        t->popped_sum += p->result;
    }
}

static inline void queue_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng; /* nothing is drawn */
    struct queue_thread *t = &w->thread[tm_index(self)];
    const queue_ref queue = w->queue;
    const queue_batch_ref batch = w->merge ? t->batch : NULL;
    const uint64_t items = w->items;
    struct queue_popped *popped = t->popped;
    uint64_t n;
    atomic (self) {
        n = queue_take(self, queue, popped, items);
    }
    queue_consume(t, popped, n, w);
    const struct queue_plan plan = {popped, n, tm_index(self), t->pushed, w->work};
    atomic (self) {
        queue_produce(self, &plan, queue, batch);
    }
    if (batch != NULL) {
        atomic (self) {
            queue_merge(self, queue, batch);
        }
    }
    t->pushed += n;
    t->ops++;
}

static void queue_teardown(TM_SELF, void *world) {
    struct world *w = world;
    item_ref item;
    while (w->queue != NULL && (item = queue_pop(self, w->queue)) != NULL)
        tm_free(self, item);
    for (unsigned i = 0; w->thread != NULL && i < w->threads; i++) {
        struct queue_thread *t = &w->thread[i];
        if (t->batch != NULL)
            tm_free(self, t->batch);
        machine_free(t->expected);
        machine_free(t->popped_of);
    }
    if (w->queue != NULL)
        tm_free(self, w->queue);
    machine_free(w->thread);
    machine_free(w);
}

static void *queue_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    struct world *w = machine_alloc_aligned(sizeof *w, TM_APART);
    if (w == NULL) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    w->merge = setup->args[MERGE].i != 0;
    w->items = (uint64_t)setup->args[ITEMS].i;
    w->work = (uint64_t)setup->args[WORK].i;
    w->threads = setup->threads;
    w->total = 2 * w->items * w->threads; /* half of them may be in hand */
    w->thread = machine_alloc_aligned(w->threads * sizeof *w->thread, TM_APART);
    bool ok = w->thread != NULL;
    for (unsigned i = 0; ok && i < w->threads; i++) {
        struct queue_thread *t = &w->thread[i];
        t->expected = machine_alloc_aligned(w->threads * sizeof *t->expected, TM_APART);
        t->popped_of = machine_alloc_aligned(w->threads * sizeof *t->popped_of, TM_APART);
        ok = t->expected != NULL && t->popped_of != NULL;
    }
    if (!ok) {
        snprintf(why, why_size, "out of memory");
        queue_teardown(self, w);
        return NULL;
    }
    w->queue = tm_new(self, struct queue);
    for (unsigned i = 0; i < w->threads; i++)
        w->thread[i].batch = tm_new(self, struct queue_batch);
    for (uint64_t i = 0; i < 2 * (uint64_t)w->threads; i++) { /* two blocks of each producer */
        struct queue_thread *t = &w->thread[i % w->threads];
        for (uint64_t k = 0; k < w->items; k++)
            t->popped[k].item = tm_new(self, struct item);
        const struct queue_plan plan = {t->popped, w->items, i % w->threads, t->pushed, w->work};
        queue_produce(self, &plan, w->queue, NULL);
        t->pushed += w->items;
    }
    return w;
}

/* The items that are left in the queue: whole blocks, of each producer those behind what has been
 * popped.  The sum of their results goes to *sum. */
static void queue_verify_left(TM_SELF, const struct world *w, struct queue_popped *p,
                              uint64_t *next, uint64_t *sum, struct queue_failure *failure) {
    for (unsigned i = 0; i < w->threads; i++)
        for (unsigned k = 0; k < w->threads; k++)
            next[i] += w->thread[k].popped_of[i];
    uint64_t n = 0;
    for (item_ref item = tm_get(w->queue, head); item != NULL && n <= w->total;
         item = tm_get(item, next), n++)
        if (n < w->total)
            p[n] = (struct queue_popped){item, tm_get(item, producer), tm_get(item, sequence),
                                         tm_get(item, result)};
    queue_expect(failure, "items left in the queue", n, w->total);
    n = n < w->total ? n : w->total;
    queue_expect_blocks(failure, p, n, w->items);
    for (uint64_t i = 0; i < n; i++) {
        if (p[i].producer >= w->threads) {
            queue_expect(failure, "producer of an item that is left", p[i].producer,
                         w->threads - 1);
            return;
        }
        queue_expect(failure, "sequence number of an item that is left", p[i].sequence,
                     next[p[i].producer]);
        next[p[i].producer] = p[i].sequence + 1;
        *sum += p[i].result;
    }
    for (unsigned i = 0; i < w->threads; i++)
        queue_expect(failure, "items of a producer, popped or left", next[i], w->thread[i].pushed);
}

/* Sum of the results of all items that were ever pushed: `work` steps x -> factor * x + term are
 * one such step, found by doubling. */
static uint64_t queue_sum(const struct world *w) {
    uint64_t factor = 1, term = 0, sum = 0;
    uint64_t power = UINT64_C(6364136223846793005), power_term = UINT64_C(1442695040888963407);
    for (uint64_t steps = w->work; steps > 0; steps >>= 1) {
        if (steps & 1) {
            factor *= power;
            term = term * power + power_term;
        }
        power_term = power_term * power + power_term;
        power *= power;
    }
    for (unsigned i = 0; i < w->threads; i++)
        for (uint64_t s = 0; s < w->thread[i].pushed; s++)
            sum += factor * queue_input(i, s) + term;
    return sum;
}

static bool queue_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    const struct world *w = world;
    struct queue_failure failure = {NULL, 0, 0};
    struct queue_popped *left = machine_alloc(w->total * sizeof *left);
    uint64_t *next = machine_alloc_aligned(w->threads * sizeof *next, TM_APART);
    if (left == NULL || next == NULL) {
        snprintf(why, why_size, "out of memory");
        machine_free(left);
        machine_free(next);
        return false;
    }
    uint64_t done = 0, sum = 0;
    for (unsigned i = 0; i < w->threads; i++) {
        const struct queue_thread *t = &w->thread[i];
        if (failure.what == NULL)
            failure = t->failure;
        done += t->ops;
        sum += t->popped_sum;
        queue_expect(&failure, "items in a batch behind the last block",
                     tm_get(t->batch, first) != NULL, false);
    }
    queue_expect(&failure, "operations", done, ops);
    queue_verify_left(self, w, left, next, &sum, &failure);
    queue_expect(&failure, "sum of all results", sum, queue_sum(w));
    machine_free(left);
    machine_free(next);
    if (failure.what == NULL)
        return true;
    snprintf(why, why_size, "%s: %" PRIu64 ", expected %" PRIu64, failure.what, failure.found,
             failure.expected);
    return false;
}

TM_WORKLOAD(queue, .help = "long blocks that push to one queue, plainly or merged behind them",
            .params = queue_params, .setup = queue_setup, .verify = queue_verify,
            .teardown = queue_teardown);
