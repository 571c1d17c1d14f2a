/*
 * retry_queue - producers and consumers that sleep in tm_retry on a bounded buffer.
 *
 * Even threads produce, odd ones consume, the last of an odd number does both in turn; both ends of
 * the buffer take part in the total order: item n of a producer must be consumed as its n-th, and
 * every item once.  A lost wake-up ends in the driver's time limit.
 */
#define TM_RESTARTS
#include "probe.h"

enum { CAPACITY = 4, PRODUCERS_MAX = 64 };

static const struct tm_param conformance_retry_queue_params[] = {PROBE_OPS("600"),
                                                                 PROBE_BLOCKS("1"), PROBE_END};

struct buffer {
    TM_HEADER;
    uint64_t head, tail; /* items taken and put so far */
    uint64_t item[CAPACITY];
    uint64_t taken_of[PRODUCERS_MAX]; /* items consumed of each producer */
};
typedef TM_REF(struct buffer) buffer_ref;

struct world {
    struct probe probe;
    buffer_ref buffer; /* constant after setup */
};

static void *conformance_retry_queue_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                           size_t why_size) {
    if (setup->threads > PRODUCERS_MAX) {
        snprintf(why, why_size, "at most %d threads", PRODUCERS_MAX);
        return NULL;
    }
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w != NULL)
        w->buffer = tm_new(self, struct buffer);
    return w;
}

/* Called inside of a block: also shows that tm_retry works from a function. */
TM_FN TM_NOINLINE static void wait_unless(TM_SELF, bool ready) {
    if (!ready)
        tm_retry(self);
}

static void produce(TM_SELF, buffer_ref b, struct slot *slot) {
    const uint64_t item = ((uint64_t)tm_index(self) << 32) | slot->count[0];
    atomic (self) {
        const uint64_t head = tm_get(b, head), tail = tm_get(b, tail);
        if (tail - head == CAPACITY)
            tm_retry(self);
        tm_set_at(b, item, tail % CAPACITY, item);
        tm_set(b, tail, tail + 1);
    }
    slot->count[0]++;
}

static void consume(TM_SELF, buffer_ref b, struct slot *slot) {
    uint64_t item = 0, before = 0;
    atomic (self) {
        const uint64_t head = tm_get(b, head), tail = tm_get(b, tail);
        wait_unless(self, head != tail);
        const uint64_t found = tm_get_at(b, item, head % CAPACITY);
        const uint64_t producer = (found >> 32) % PRODUCERS_MAX;
        item = found;
        before = tm_get_at(b, taken_of, producer);
        tm_set_at(b, taken_of, producer, before + 1);
        tm_set(b, head, head + 1);
    }
    EXPECT(slot, "items of one producer were taken out of order", (uint32_t)item, before);
    slot->count[1]++;
}

static inline void conformance_retry_queue_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng;
    struct slot *slot = probe_slot(self, w);
    const unsigned index = tm_index(self);
    const bool both = w->probe.threads % 2 == 1 && index == w->probe.threads - 1;
    if (both ? slot->count[0] == slot->count[1] : index % 2 == 0)
        produce(self, w->buffer, slot);
    else
        consume(self, w->buffer, slot);
}

static bool conformance_retry_queue_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                           size_t why_size) {
    struct world *w = world;
    uint64_t taken = 0;
    for (unsigned i = 0; i < PRODUCERS_MAX; i++)
        taken += tm_get_at(w->buffer, taken_of, i);
    return probe_clean(w, why, why_size) &&
           probe_equal("items put", tm_get(w->buffer, tail), probe_sum(w, 0), why, why_size) &&
           probe_equal("items taken", tm_get(w->buffer, head), probe_sum(w, 1), why, why_size) &&
           probe_equal("items by producer", taken, probe_sum(w, 1), why, why_size) &&
           probe_equal("operations", probe_sum(w, 0) + probe_sum(w, 1), ops, why, why_size);
}

static void conformance_retry_queue_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->buffer);
    probe_free(w);
}

TM_WORKLOAD(conformance_retry_queue, .help = "producers and consumers that wait in tm_retry",
            .params = conformance_retry_queue_params, .setup = conformance_retry_queue_setup,
            .verify = conformance_retry_queue_verify, .teardown = conformance_retry_queue_teardown);
