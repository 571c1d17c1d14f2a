/*
 * probe.h - what the conformance tests share: evidence that survives an abort.
 *
 * A conformance test is a workload: setup, run, verify, compiled once per engine.  What an
 * execution has seen must be kept even when the engine throws the execution away, so it goes into
 * plain memory through functions declared TM_PURE_FN, which no engine instruments or undoes.
 *
 * Parameters with these names speak to the driver (tests/conformance.c), not to the test:
 *   ops           operations of each thread in one measurement
 *   blocks        outermost blocks in one operation: commits must be exactly ops * blocks
 *   irrevocable   irrevocable blocks in one operation, exactly; -1: any number
 *   restarts      calls of tm_abort_restart in one operation, at least
 *   seeds         measurements, each with a seed of its own; fewer where that takes seconds;
 *                 1, simulated: on the computer with a processor for each thread
 *   interval_ms   run by time instead of by operations
 *   rss_mb        the process may be this large behind the run (not checked under a sanitizer)
 */
#ifndef ALLCORES_PROBE_H
#define ALLCORES_PROBE_H

#include "tm.h"

#define PROBE_OPS(n)                                                                               \
    { "ops", "operations of each thread", TM_INT, n, 1, 1e9, NULL }
#define PROBE_BLOCKS(n)                                                                            \
    { "blocks", "blocks in one operation", TM_INT, n, 0, 1e9, NULL }
#define PROBE_IRREVOCABLE(n)                                                                       \
    { "irrevocable", "irrevocable blocks in one operation", TM_INT, n, 0, 1e9, NULL }
#define PROBE_RESTARTS(n)                                                                          \
    { "restarts", "explicit restarts in one operation", TM_INT, n, 0, 1e9, NULL }
#define PROBE_INTERVAL_MS(n)                                                                       \
    { "interval_ms", "length of a run by time", TM_INT, n, 1, 1e9, NULL }
#define PROBE_RSS_MB(n)                                                                            \
    { "rss_mb", "largest resident set behind the run", TM_INT, n, 1, 1e9, NULL }
#define PROBE_SEEDS(n)                                                                             \
    { "seeds", "measurements, each with its own seed", TM_INT, n, 1, 1e9, NULL }
#define PROBE_END                                                                                  \
    { NULL, NULL, TM_INT, NULL, 0, 0, NULL }

/* One thread's evidence; written by that thread only, read by verify. */
struct slot {
    uint64_t failures;        /* times that something impossible was seen */
    const char *what;         /* the first of them */
    uint64_t found, expected; /* its values */
    uint64_t attempts;        /* executions of the current block so far */
    uint64_t count[8];        /* the test's own */
    char padding[128 - 13 * 8];
};

struct probe {
    unsigned threads;
    struct slot *slot; /* [threads] */
};

/* Zeroed memory for a world with its probe as first member; NULL and `why` when out of memory. */
__attribute__((unused)) static void *probe_world(size_t bytes, const struct tm_setup *setup,
                                                 char *why, size_t why_size) {
    struct probe *probe = machine_alloc_aligned(bytes, TM_CACHE_LINE);
    struct slot *slot = machine_alloc_aligned(setup->threads * sizeof *slot, 2 * TM_CACHE_LINE);
    if (probe == NULL || slot == NULL) {
        snprintf(why, why_size, "out of memory");
        machine_free(probe);
        machine_free(slot);
        return NULL;
    }
    probe->threads = setup->threads;
    probe->slot = slot;
    return probe;
}

__attribute__((unused)) static void probe_free(void *world) {
    machine_free(((struct probe *)world)->slot);
    machine_free(world);
}

TM_INLINE struct slot *probe_slot(struct tm_thread *self, void *world) {
    return &((struct probe *)world)->slot[tm_index(self)];
}

/* Notes that something impossible was seen; survives the execution that saw it. */
TM_PURE_FN TM_NOINLINE __attribute__((unused)) static void
slot_note(struct slot *slot, const char *what, uint64_t found, uint64_t expected) {
    if (slot->failures++ == 0) {
        slot->what = what;
        slot->found = found;
        slot->expected = expected;
    }
}

/* Number of this execution of the current block, from 1; set slot->attempts to 0 before the block.
 */
TM_PURE_FN TM_NOINLINE __attribute__((unused)) static uint64_t slot_attempt(struct slot *slot) {
    return ++slot->attempts;
}

#define EXPECT(slot_, what_, found_, expected_)                                                    \
    do {                                                                                           \
        const uint64_t found_value_ = (uint64_t)(found_);                                          \
        const uint64_t expected_value_ = (uint64_t)(expected_);                                    \
        if (found_value_ != expected_value_)                                                       \
            slot_note((slot_), (what_), found_value_, expected_value_);                            \
    } while (0)

/* False and the first evidence in `why` when any thread noted something. */
__attribute__((unused)) static bool probe_clean(const void *world, char *why, size_t why_size) {
    const struct probe *probe = world;
    for (unsigned i = 0; i < probe->threads; i++) {
        const struct slot *s = &probe->slot[i];
        if (s->failures == 0)
            continue;
        snprintf(why, why_size, "thread %u: %s: found %llu (0x%llx), expected %llu; %llu times", i,
                 s->what, (unsigned long long)s->found, (unsigned long long)s->found,
                 (unsigned long long)s->expected, (unsigned long long)s->failures);
        return false;
    }
    return true;
}

/* Sum over the threads of count[which]. */
__attribute__((unused)) static uint64_t probe_sum(const void *world, unsigned which) {
    const struct probe *probe = world;
    uint64_t sum = 0;
    for (unsigned i = 0; i < probe->threads; i++)
        sum += probe->slot[i].count[which];
    return sum;
}

/* For verify: false and a message unless found == expected. */
__attribute__((unused)) static bool probe_equal(const char *what, uint64_t found, uint64_t expected,
                                                char *why, size_t why_size) {
    if (found == expected)
        return true;
    snprintf(why, why_size, "%s: found %llu, expected %llu", what, (unsigned long long)found,
             (unsigned long long)expected);
    return false;
}

#endif
